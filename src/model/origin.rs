//! Whose code a function is.

use super::tables::Function;

/// Who wrote a function, as far as its file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The program's own code.
    User,
    /// An installed package.
    Package,
    /// The standard library.
    Standard,
}

impl Origin {
    /// Who wrote `function`.
    #[must_use]
    pub fn of(function: &Function) -> Self {
        let file = &*function.file;
        if file.contains("site-packages") || file.contains("dist-packages") {
            Self::Package
        } else if file.starts_with("<frozen") || in_library_folder(file) {
            Self::Standard
        } else {
            Self::User
        }
    }
}

/// Whether a path leads through `lib/python3.x`, or `python3.x` in any folder of libraries.
fn in_library_folder(file: &str) -> bool {
    ["/lib/python", "/lib64/python"].iter().any(|folder| {
        file.split_once(folder)
            .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::Origin;
    use crate::model::Function;

    fn origin(file: &str) -> Origin {
        Origin::of(&Function {
            name: "f".into(),
            qualified: false,
            module: "m".into(),
            file: file.into(),
            first_line: 1,
        })
    }

    #[test]
    fn files_tell_whose_code_it_is() {
        assert_eq!(origin("/srv/app/main.py"), Origin::User);
        assert_eq!(origin("<stdin>"), Origin::User);
        assert_eq!(origin("/home/ann/lib/pythonic/app.py"), Origin::User);
        assert_eq!(origin("/usr/lib/python3.12/threading.py"), Origin::Standard);
        assert_eq!(origin("<frozen importlib._bootstrap>"), Origin::Standard);
        assert_eq!(origin("/usr/lib/python3/dist-packages/six.py"), Origin::Package);
        assert_eq!(origin("/v/lib/python3.12/site-packages/requests/api.py"), Origin::Package);
    }
}
