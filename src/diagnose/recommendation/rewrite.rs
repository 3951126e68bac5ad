//! One statement of Python, changed so that a call in it runs elsewhere.

/// How a call is written that is made elsewhere: from the name of what is called and its arguments.
pub(super) type Wrap<'a> = &'a dyn Fn(&str, &str) -> String;

/// `statement` with the first call of `name` (the last part of a dotted name) replaced; `None` when there
/// is none whose brackets close.
pub(super) fn call(statement: &str, name: &str, wrap: Wrap) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let needle = format!("{name}(");
    for (at, _) in statement.match_indices(&needle) {
        let before = statement.get(..at)?;
        if before.ends_with(is_word) {
            continue;
        }
        // `self.cache.rank(` is called by all of its name.
        let start = before.rfind(|c: char| !is_word(c) && c != '.').map_or(0, |last| last + 1);
        let callee = statement.get(start..at + name.len())?;
        let open = at + needle.len();
        let length = closing(statement.get(open..)?)?;
        let arguments = statement.get(open..open + length)?.trim().trim_end_matches(',');
        let rest = statement.get(open + length + 1..)?;
        let head = statement.get(..start)?;
        if head.trim_end().ends_with("await") || head.trim_start().starts_with("def ") {
            continue;
        }
        let wrapped = wrap(callee, arguments);
        // What follows belongs to the result: `f(x).read()`.
        let follows = rest.starts_with(['.', '[']);
        let wrapped = if follows { format!("({wrapped})") } else { wrapped };
        return Some(format!("{head}{wrapped}{rest}"));
    }
    None
}

/// Where the bracket closes that was opened just before `text`; strings are passed over.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0u32;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') if depth == 0 => return Some(at),
            (None, ')' | ']' | '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::call;

    fn to_thread(statement: &str, name: &str) -> Option<String> {
        call(statement, name, &|callee, arguments| {
            let comma = if arguments.is_empty() { "" } else { ", " };
            format!("await asyncio.to_thread({callee}{comma}{arguments})")
        })
    }

    #[test]
    fn the_call_is_found_by_its_name_wherever_it_stands() {
        let check = |statement, name, expected: Option<&str>| {
            assert_eq!(to_thread(statement, name).as_deref(), expected, "{statement}");
        };
        check("x = rank(a, b)", "rank", Some("x = await asyncio.to_thread(rank, a, b)"));
        check(
            "return self.db.load(key)[0]",
            "load",
            Some("return (await asyncio.to_thread(self.db.load, key))[0]"),
        );
        check(
            "page = get('a)(', (1, 2)).text",
            "get",
            Some("page = (await asyncio.to_thread(get, 'a)(', (1, 2))).text"),
        );
        check(
            "write(render(page))",
            "render",
            Some("write(await asyncio.to_thread(render, page))"),
        );
        check("work()", "work", Some("await asyncio.to_thread(work)"));
        check("x = prerank(a)", "rank", None);
        check("x = await rank(a)", "rank", None);
        check("def rank(a):", "rank", None);
        check("x = rank(a", "rank", None);
    }
}
