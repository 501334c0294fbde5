//! Keeps a part of a file of the repository up to date, between two lines that its owner put there.

use std::path::Path;

use crate::bus::Error;
use crate::bus::workspace::{NamedPath, Workspace, named_path};
use crate::store::replace;

/// The longest file that a part is kept in, in bytes.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// Puts `text` between the lines `<!-- name -->` and `<!-- /name -->` of the file at `path`, and
/// says whether that changed it. Nothing else in it is touched.
///
/// # Errors
///
/// [`Error::NoPart`] if it is no file of this worktree, or does not have both lines once, in
/// this order; [`Error::Store`] if the disk refuses.
pub(crate) fn write_between(
    ws: &Workspace,
    path: &Path,
    name: &'static str,
    text: &str,
) -> Result<bool, Error> {
    let refuse = |what: &str| Error::NoPart { path: path.to_owned(), what: what.to_owned(), name };
    let NamedPath::Inside { name: relative, is_here: true, .. } =
        named_path(ws, ws.layout.root(), path)?
    else {
        return Err(refuse("is in no folder of this worktree"));
    };
    let place = ws.layout.place(relative);
    // Two at once would each keep the other's table.
    let _lock = ws.lock()?;
    let bytes = place.read(MAX_FILE)?.filter(|bytes| bytes.len() <= MAX_FILE);
    let before = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let before = before.ok_or_else(|| refuse("is no text file that is there"))?;
    let after = with_part(&before, name, text).map_err(|what| refuse(&what))?;
    if after == before {
        return Ok(false);
    }
    replace(&place, after.as_bytes())?;
    Ok(true)
}

/// `file` with `text` as the part called `name`; else what is wrong with its lines.
fn with_part(file: &str, name: &str, text: &str) -> Result<String, String> {
    let place = |marker: &str| {
        let mut starts = file.split_inclusive('\n').scan(0, |end, line| {
            let start = *end;
            *end += line.len();
            Some((start, *end, line.trim() == marker))
        });
        let found: Vec<(usize, usize)> = starts
            .by_ref()
            .filter(|(_, _, is_it)| *is_it)
            .map(|(start, end, _)| (start, end))
            .collect();
        match found[..] {
            [place] => Ok(place),
            [] => Err(format!("has no line `{marker}`")),
            _ => Err(format!("has the line `{marker}` {} times", found.len())),
        }
    };
    let (_, begin) = place(&format!("<!-- {name} -->"))?;
    let (end, _) = place(&format!("<!-- /{name} -->"))?;
    if end < begin {
        return Err(format!("has the line `<!-- /{name} -->` before the line `<!-- {name} -->`"));
    }
    // A table needs an empty line around it.
    Ok(format!("{}\n{text}\n{}", &file[..begin], &file[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_nothing_else() {
        let file = "# Log\r\n<!-- x -->\nold\n  <!-- /x -->\nend, no newline";
        let once = with_part(file, "x", "| a |\n").unwrap();
        assert_eq!(once, "# Log\r\n<!-- x -->\n\n| a |\n\n  <!-- /x -->\nend, no newline");
        assert_eq!(with_part(&once, "x", "| a |\n").unwrap(), once);
    }

    #[test]
    fn without_both_lines_once_and_in_order_nothing_is_made() {
        for (file, what) in [
            ("", "has no line `<!-- x -->`"),
            ("<!-- x -->\n", "has no line `<!-- /x -->`"),
            ("<!-- x --> inline <!-- /x -->\n", "has no line `<!-- x -->`"),
            ("<!-- x -->\n<!-- x -->\n<!-- /x -->\n", "has the line `<!-- x -->` 2 times"),
            (
                "<!-- /x -->\n<!-- x -->\n",
                "has the line `<!-- /x -->` before the line `<!-- x -->`",
            ),
        ] {
            assert_eq!(with_part(file, "x", "t").unwrap_err(), what);
        }
    }
}
