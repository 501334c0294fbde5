//! Makes text that came from a bus harmless in markdown, as GitHub reads it, and in Mermaid
//! diagrams (docs/design.md, section 7).

use std::fmt::Write;

use crate::record::is_dangerous;

/// How many characters of a text stand in a table or a list.
const MAX_TEXT: usize = 160;

/// How many characters of a text stand in a picture.
const MAX_LABEL: usize = 40;

/// Text within a line of markdown: no markup, no link, no mention, no reference to an issue, no
/// HTML, no cell's end. Long text is cut.
///
/// A backslash stops what is parsed as markdown (GFM, section 2.4, and its extended autolinks).
/// Mentions and references are looked for in what was rendered: there a space of no width, which is
/// ours and in the open, stands in the way.
pub(super) fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    let text = cut(text, MAX_TEXT);
    let mut characters = text.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        match character {
            '\n' | '\r' | '\t' => safe.push(' '),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '$' => safe.push_str("&#36;"),
            '@' => safe.push_str("@&#8203;"),
            '#' if characters.peek().is_some_and(|(_, next)| next.is_alphanumeric()) => {
                safe.push_str("#&#8203;")
            }
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~'
            | '^' => {
                safe.push('\\');
                safe.push(character);
            }
            ':' if text[place..].starts_with("://") => safe.push_str("\\:"),
            '-' if text[..place].ends_with("GH") || text[..place].ends_with("gh") => {
                safe.push_str("&#8203;-")
            }
            '.' if ends_with_www(&text[..place]) => safe.push_str("\\."),
            character if is_dangerous(character) => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\\\u\\{{{:x}\\}}", u32::from(character));
            }
            character => safe.push(character),
        }
    }
    safe
}

/// Text as a label in a Mermaid diagram: letters, digits and what has no meaning there.
pub(super) fn label(text: &str) -> String {
    let is_plain =
        |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '/');
    let plain: String =
        text.chars().map(|character| if is_plain(character) { character } else { ' ' }).collect();
    cut(&plain.split_whitespace().collect::<Vec<_>>().join(" "), MAX_LABEL)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

fn ends_with_www(text: &str) -> bool {
    text.len()
        .checked_sub(3)
        .and_then(|start| text.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_in_markdown() {
        for (text, safe) in [
            ("tests pass; 3 of 4 - ok", "tests pass; 3 of 4 - ok"),
            ("a|b", "a\\|b"),
            ("`x` *y* _z_ ~~w~~", "\\`x\\` \\*y\\* \\_z\\_ \\~\\~w\\~\\~"),
            ("<img src=x onerror=y>&", "&lt;img src=x onerror=y&gt;&amp;"),
            ("ping @codex-1, see #12, # no", "ping @&#8203;codex-1, see #&#8203;12, \\# no"),
            ("[a](http://x.y) ![b](c)", "\\[a\\]\\(http\\://x.y\\) \\!\\[b\\]\\(c\\)"),
            ("WWW.evil.example", "WWW\\.evil.example"),
            ("two\nlines\r", "two lines "),
            ("GH-12", "GH&#8203;-12"),
            ("a\u{202e}b\u{1b}[31m", "a\\\\u\\{202e\\}b\\\\u\\{1b\\}\\[31m"),
            ("$x$ \\", "&#36;x&#36; \\\\"),
        ] {
            assert_eq!(markdown(text), safe, "{text}");
        }
        assert_eq!(markdown(&"é".repeat(200)).chars().count(), MAX_TEXT + 1);
    }

    #[test]
    fn a_label_has_nothing_that_a_diagram_could_read() {
        assert_eq!(label("a: b, c; d # e --> f[\"g\"] %% {h}"), "a b c d e -- f g h");
        assert_eq!(label("日本 größer\n"), "日本 größer");
        assert_eq!(label("\"]:;"), "");
    }
}
