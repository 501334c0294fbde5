//! Why a text is no pattern of paths.

/// Why a text is no pattern of paths, and what to write in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// There is nothing in it, or it names the root itself.
    #[error("`{0}` names no path: write `**` for everything")]
    Empty(String),
    /// It is longer than a path may be.
    #[error("a pattern of {0} bytes is too long: at most {max} are read", max = super::MAX_PATTERN)]
    TooLong(usize),
    /// Its alternatives make too many patterns.
    #[error("the alternatives of `{0}` make too many patterns: split it, or write a `*`")]
    TooMany(String),
    /// It has so many wildcards that nobody can tell in time what it shares with others.
    #[error("`{0}` has more than 16 wildcards: write `**`, or several patterns")]
    TooManyWildcards(String),
    /// Braces within braces within braces.
    #[error("the braces of `{0}` are nested too deep")]
    TooDeep(String),
    /// A character that moves the cursor or hides text.
    #[error("`{text}` has the character U+{code:04X}, which cannot be seen: write `?` for it", code = *.character as u32)]
    Unseen {
        /// The pattern.
        text: String,
        /// The character.
        character: char,
    },
    /// A blank at an end is mostly a slip.
    #[error("`{0}` begins or ends with a blank: leave it out, or write `[ ]`")]
    Blank(String),
    /// git-ignore's negation.
    #[error(
        "`{0}` begins with `!`: say what is left out with a pattern that is denied, or write `\\!` for a name"
    )]
    Negated(String),
    /// `..`, which leads out.
    #[error("`{0}` has a `..`: patterns begin at the root of the repository and lead down")]
    Upwards(String),
    /// A drive of Windows.
    #[error("`{0}` begins with a drive: patterns begin at the root of the repository")]
    Drive(String),
    /// `//` or `/./`.
    #[error("`{0}` has a name that is empty or `.`: write one `/` between two names")]
    NoName(String),
    /// git's own folder.
    #[error("`{0}` is within `.git`, which has no file of the repository")]
    GitFolder(String),
    /// `**` and something else in one name.
    #[error(
        "`**` must be alone between slashes, as in `src/**` and `**/a`: write `*` within a name in `{0}`"
    )]
    StarStar(String),
    /// `**/` at the end.
    #[error("`{0}` ends in `**/`: leave the last `/` out")]
    StarStarSlash(String),
    /// A `[` without a `]`, or a `]` without a `[`.
    #[error("`{0}` has a `[` or `]` without the other: write `\\[` or `\\]` for the character")]
    Bracket(String),
    /// A class that is wrong within.
    #[error("`{text}` has the class `[{class}`, which {what}")]
    Class {
        /// The pattern.
        text: String,
        /// What follows the `[`.
        class: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A `{` without a `}`, or a `}` without a `{`.
    #[error("`{0}` has a `{{` or `}}` without the other: write `\\{{` or `\\}}` for the character")]
    Brace(String),
    /// A `\` before a character that means itself.
    #[error(
        "`{0}` has a `\\` that takes nothing of its meaning: write `/` between names, and `\\` only before one of `*?[]{{}},!\\`"
    )]
    Escape(String),
    /// No path can match it.
    #[error("`{0}` can match no path: one of its names can only be `.`, `..`, `.git` or nothing")]
    Void(String),
}
