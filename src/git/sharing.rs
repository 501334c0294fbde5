//! Who else may write into the repository (git-config(1), `core.sharedRepository`).

/// Lets this process make files and folders that others may use, if the repository is shared: `bus`
/// then works for them as git does. The umask is the process's own, so what its children make is
/// shared, too.
#[cfg(unix)]
pub(super) fn obey(shared: Option<&str>) {
    let Some(forbidden) = shared.and_then(forbidden) else { return };
    let before = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(
        forbidden.unwrap_or_else(|allowed| before.as_raw_mode() & !allowed),
    ));
}

#[cfg(not(unix))]
pub(super) fn obey(_shared: Option<&str>) {}

/// The bits that no file may have; the error is the bits that every file shall have. `None` if the
/// umask alone decides.
#[cfg(unix)]
fn forbidden(shared: &str) -> Option<Result<u32, u32>> {
    match shared.to_ascii_lowercase().as_str() {
        "group" | "true" | "yes" | "on" | "1" => Some(Err(0o070)),
        "all" | "world" | "everybody" | "2" => Some(Err(0o075)),
        octal => match u32::from_str_radix(octal, 8) {
            // git wants at least that the owner may read and write.
            Ok(mode) if octal.starts_with('0') && mode & 0o600 == 0o600 => {
                let searchable = mode | (mode & 0o444) >> 2;
                Some(Ok(0o777 & !searchable))
            }
            _ => None,
        },
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::forbidden;

    #[test]
    fn the_setting_says_who_may_read_and_write() {
        for (word, bits) in [
            ("group", Some(Err(0o070))),
            ("TRUE", Some(Err(0o070))),
            ("all", Some(Err(0o075))),
            ("0660", Some(Ok(0o007))),
            ("0640", Some(Ok(0o027))),
            ("umask", None),
            ("false", None),
            ("0", None),
            ("0040", None),
        ] {
            assert_eq!(forbidden(word), bits, "{word}");
        }
    }
}
