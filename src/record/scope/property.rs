//! What the automata say of patterns is what a simple matcher says, path by path, of all short
//! paths there are.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Fold, Pattern, Scope, ScopeIndex};

/// How many scopes are made at a time: each is held against each.
const SCOPES: usize = 80;

/// How many times.
const CASES: u32 = 8;

/// The letters of patterns and paths, how long the paths are at most, and whether case counts.
static WORLDS: LazyLock<[World; 4]> = LazyLock::new(|| {
    [
        World::new("ab", 6, Fold::Off),
        World::new("abc", 5, Fold::Off),
        World::new("abAB", 4, Fold::On),
        World::new("a.", 6, Fold::Off),
    ]
});

struct World {
    letters: &'static str,
    paths: Vec<String>,
    fold: Fold,
}

impl World {
    fn new(letters: &'static str, length: usize, fold: Fold) -> Self {
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..length {
            let to = texts.len();
            for number in from..to {
                texts.extend(
                    letters
                        .chars()
                        .chain(['/'])
                        .map(|c| format!("{}{c}", texts[number]))
                        .collect::<Vec<_>>(),
                );
            }
            from = to;
        }
        texts.retain(|path| path.split('/').all(|name| !["", ".", ".."].contains(&name)));
        Self { letters, paths: texts, fold }
    }
}

/// All that a pattern means when its braces are written out.
fn readings(text: &str) -> Vec<String> {
    let Some(open) = text.find('{') else { return vec![text.to_owned()] };
    let (mut depth, mut cuts) = (0, vec![open]);
    for (at, c) in text.char_indices().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 1) || depth == 0 {
            cuts.push(at);
        }
        if depth == 0 {
            break;
        }
    }
    let rest = &text[cuts[cuts.len() - 1] + 1..];
    cuts.windows(2)
        .flat_map(|cut| readings(&format!("{}{}{rest}", &text[..open], &text[cut[0] + 1..cut[1]])))
        .collect()
}

fn matches_name(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let (after, c) = (&pattern[first.len_utf8()..], name.chars().next());
    let name_after = c.map_or("", |c| &name[c.len_utf8()..]);
    match (first, c) {
        ('*', _) => matches_name(after, name) || c.is_some() && matches_name(pattern, name_after),
        (_, None) => false,
        ('?', _) => matches_name(after, name_after),
        ('[', Some(c)) => {
            let (class, after) = after.split_once(']').unwrap();
            let (class, negated) =
                class.strip_prefix('!').map_or((class, false), |class| (class, true));
            let class: Vec<char> = class.chars().collect();
            let is_in = match class[..] {
                [first, '-', last] => (first..=last).contains(&c),
                _ => class.contains(&c),
            };
            is_in != negated && matches_name(after, name_after)
        }
        (first, Some(c)) => first == c && matches_name(after, name_after),
    }
}

fn matches_names(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        (["**" | ""], path) => !path.is_empty(),
        (["**", rest @ ..], path) => {
            matches_names(rest, path) || !path.is_empty() && matches_names(pattern, &path[1..])
        }
        (_, []) => false,
        ([last], [name, ..]) if !last.contains(['*', '?', '[']) => last == name,
        ([last], [name]) => matches_name(last, name),
        ([first, rest @ ..], [name, below @ ..]) => {
            matches_name(first, name) && matches_names(rest, below)
        }
        ([], _) => false,
    }
}

/// What is matched, by the simple matcher.
#[derive(Debug)]
struct Simple {
    patterns: Vec<String>,
    deny: Vec<String>,
}

impl Simple {
    fn new(patterns: &[Pattern], deny: &[Pattern], fold: Fold) -> Self {
        let from_root = |reading: String| reading.strip_prefix("./").unwrap_or(&reading).to_owned();
        let all = |patterns: &[Pattern]| {
            patterns
                .iter()
                .flat_map(|p| readings(&folded(p.as_str(), fold)))
                .map(from_root)
                .collect()
        };
        Self { patterns: all(patterns), deny: all(deny) }
    }

    fn matches(&self, path: &str, fold: Fold) -> bool {
        let path = folded(path, fold);
        let path: Vec<&str> = path.split('/').collect();
        let any = |patterns: &[String]| {
            patterns
                .iter()
                .any(|pattern| matches_names(&pattern.split('/').collect::<Vec<_>>(), &path))
        };
        any(&self.patterns) && !any(&self.deny)
    }
}

fn folded(text: &str, fold: Fold) -> String {
    match fold {
        Fold::Off => text.to_owned(),
        Fold::On => text.to_lowercase(),
    }
}

/// A name of a pattern; its dice say what it is made of.
fn name(dice: &[u8], letters: &str) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let letter = |die: u8| letters[usize::from(die / 32) % letters.len()];
    let piece = |die: &u8| {
        let c = letter(*die);
        match die % 32 {
            0..8 => "*".to_owned(),
            8 | 9 => "?".to_owned(),
            10 => format!("[{c}]"),
            11 => format!("[!{c}]"),
            12 => "[a-b]".to_owned(),
            13 => format!("{{{c},{c}*,b?}}"),
            14 => format!("{{,{{{c},?}}}}"),
            _ => c.to_string(),
        }
    };
    let name: String = dice.iter().map(piece).collect();
    // `**` is for whole names, and an empty name is none.
    let is_odd = readings(&name).iter().any(|name| name.contains("**") || name.is_empty());
    if is_odd { format!("{}*", letter(dice[0])) } else { name }
}

fn pattern(dice: &[Vec<u8>], letters: &str) -> String {
    let names: Vec<String> = dice
        .iter()
        .map(|dice| if dice[0].is_multiple_of(5) { "**".to_owned() } else { name(dice, letters) })
        .collect();
    match (dice[0].len(), dice.len()) {
        (1, 2) => format!("{}/", names.join("/")).replace("**/", "a/"),
        (2, 3) => format!("{{{},{}}}/{}", names[0], names[1], names[2]),
        (3, 3) => format!("{{{}/{},{}}}", names[0], names[1], names[2]),
        _ => names.join("/"),
    }
}

type Dice = Vec<Vec<u8>>;

fn pattern_dice() -> impl Strategy<Value = Dice> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..4), 1..4)
}

fn scope_dice() -> impl Strategy<Value = (Vec<Dice>, Vec<Dice>)> {
    (prop::collection::vec(pattern_dice(), 1..3), prop::collection::vec(pattern_dice(), 0..3))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn two_scopes_overlap_where_some_path_is_in_both(
        world in 0..WORLDS.len(),
        dice in prop::collection::vec(scope_dice(), SCOPES),
    ) {
        let World { letters, paths, fold } = &WORLDS[world];
        // A pattern such as `..` is refused.
        let parsed = |dice: &[Dice]| -> Vec<Pattern> {
            dice.iter().filter_map(|dice| pattern(dice, letters).parse().ok()).collect()
        };
        let mut scopes = Vec::new();
        for (patterns, deny) in &dice {
            let (patterns, deny) = (parsed(patterns), parsed(deny));
            let simple = Simple::new(&patterns, &deny, *fold);
            let scope = Scope::new(patterns, deny);
            let matched: Vec<bool> = paths.iter().map(|path| simple.matches(path, *fold)).collect();
            for (path, matched) in paths.iter().zip(&matched) {
                prop_assert_eq!(scope.matches(path, *fold), *matched, "{} in {:?}", path, simple);
            }
            scopes.push((scope, simple, matched));
        }
        let mut index = ScopeIndex::new(scopes.iter().map(|(scope, ..)| scope), *fold);
        for (number, path) in paths.iter().enumerate() {
            let places: Vec<usize> = (0..scopes.len()).filter(|place| scopes[*place].2[number]).collect();
            prop_assert_eq!(index.containing(path), places, "{} in {:?}", path, scopes);
        }
        for (number, (one, simple_one, in_one)) in scopes.iter().enumerate() {
            for (two, simple_two, in_two) in &scopes[number..] {
                let example = one.overlap(two, *fold);
                if number % 8 == 0 {
                    prop_assert_eq!(&example, &two.overlap(one, *fold), "{:?} and {:?}", simple_one, simple_two);
                }
                if let Some(path) = example {
                    prop_assert!(simple_one.matches(&path, *fold) && simple_two.matches(&path, *fold),
                        "{} in {:?} and {:?}", path, simple_one, simple_two);
                } else {
                    let shared = (0..paths.len()).find(|path| in_one[*path] && in_two[*path]);
                    prop_assert_eq!(shared.map(|path| &paths[path]), None, "{:?} and {:?}", simple_one, simple_two);
                }
            }
        }
    }
}
