//! What a node may be called: one file name, short, printable, without blanks.

use nix::errno::Errno;

use crate::error::{Error, Result};

/// The longest name in bytes, as in the kernel's `DISK_NAME_LEN` and IRQ names: more is cut in listings.
const LONGEST: usize = 63;

/// Checks the name of a node.
///
/// # Errors
///
/// `EINVAL`, or `ENAMETOOLONG`, with what is wrong with it.
pub(crate) fn check(name: &str) -> Result<()> {
    let cause = match name {
        "" => "it is empty",
        "." | ".." => "it names a directory",
        _ if name.len() > LONGEST => {
            return Err(refusal(Errno::ENAMETOOLONG, name)
                .with_cause(format_args!("it has {} bytes", name.len())));
        }
        _ if name.contains('/') => "it has a slash",
        _ if name.chars().any(char::is_control) => "it has a control character",
        _ if name.chars().any(char::is_whitespace) => "it has a blank",
        _ => return Ok(()),
    };
    Err(refusal(Errno::EINVAL, name).with_cause(cause))
}

fn refusal(errno: Errno, name: &str) -> Error {
    Error::new(errno, "cannot use node name", format_args!("{name:?}")).with_hint(format_args!(
        "a name is 1 to {LONGEST} bytes, without slashes, blanks and control characters"
    ))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["uio_dummy0", "a", "tty\u{dc}", "a..b", ".hidden", &"n".repeat(63)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_bad_name_is_refused_with_the_reason() {
        let cases = [
            ("", "empty"),
            (".", "directory"),
            ("..", "directory"),
            ("a/b", "slash"),
            ("a\0b", "control"),
            ("a\nb", "control"),
            ("a b", "blank"),
            (&"n".repeat(64), "64 bytes"),
        ];
        for (name, reason) in cases {
            let text = check(name).unwrap_err().to_string();
            assert!(text.contains(reason), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_passes_is_one_component_of_a_path(name in ".{0,80}") {
            if check(&name).is_ok() {
                let path = std::path::Path::new("/d").join(&name);
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("/d")));
            }
        }
    }
}
