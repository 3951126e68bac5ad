//! The name under which a file would be imported, derived from its path.

/// Folders below which a path spells a module, when no better is known. The last one wins.
const ROOTS: [&str; 4] = ["site-packages", "dist-packages", "lib-dynload", "src"];

/// The module of a code object's file: `asyncio.base_events` for `…/lib/python3.11/asyncio/base_events.py`.
///
/// The interpreter knows better (`__name__` in the frame's globals), but that costs a walk through
/// a dict for each function; the path is enough for the standard library and installed packages,
/// which is where names matter. Of other files only the stem is certain.
pub(super) fn module_of(file: &str) -> String {
    if let Some(frozen) = file.strip_prefix("<frozen ").and_then(|rest| rest.strip_suffix('>')) {
        return frozen.to_owned();
    }
    let parts: Vec<&str> = file.split('/').filter(|part| !part.is_empty()).collect();
    let is_root =
        |part: &&str| ROOTS.contains(part) || part.strip_prefix("python").is_some_and(is_version);
    let root = parts.iter().rposition(is_root).filter(|root| root + 1 < parts.len());
    let rest = match root {
        Some(root) => parts.get(root + 1..),
        None => parts.get(parts.len().saturating_sub(1)..),
    };
    let mut names: Vec<&str> = rest.unwrap_or_default().to_vec();
    if let Some(last) = names.last_mut() {
        *last = last.strip_suffix(".py").or_else(|| last.strip_suffix(".pyc")).unwrap_or(last);
    }
    if names.len() > 1 && names.last() == Some(&"__init__") {
        names.pop();
    }
    names.join(".")
}

fn is_version(text: &str) -> bool {
    let text = text.strip_suffix('t').unwrap_or(text);
    text.split_once('.').is_some_and(|(major, minor)| {
        [major, minor]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    }) || text == "3"
}

#[cfg(test)]
mod tests {
    use super::module_of;

    #[test]
    fn modules_follow_the_path() {
        for (file, module) in [
            ("/usr/lib/python3.11/asyncio/base_events.py", "asyncio.base_events"),
            ("/opt/x/lib/python3.13t/threading.py", "threading"),
            ("/v/lib/python3.8/site-packages/requests/api.py", "requests.api"),
            ("/v/lib/python3.8/site-packages/requests/__init__.py", "requests"),
            ("/usr/lib/python3/dist-packages/yaml/reader.py", "yaml.reader"),
            ("/home/me/src/shop/cart.py", "shop.cart"),
            ("/home/me/service/app.py", "app"),
            ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
            ("<string>", "<string>"),
            ("", ""),
        ] {
            assert_eq!(module_of(file), module, "{file}");
        }
    }
}
