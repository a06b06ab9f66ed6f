//! The header, read: its functions, their parameters, and what their comments promise.

use super::ROOT;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A function of the header.
#[derive(Debug, Clone)]
pub struct Export {
    /// What it returns, its name, and what stands between the parentheses.
    pub returns: String,
    pub name: String,
    pub parameters: String,
    /// The names of the parameters, as in a call.
    pub arguments: String,
    /// Every status that its comment names after `@return`, without prefix.
    pub documented: BTreeSet<String>,
}

/// The committed header.
pub fn header() -> String {
    fs::read_to_string(Path::new(ROOT).join("include/diffquant.h")).unwrap()
}

/// The constants `#define DIFFQUANT_... number` of the header.
pub fn constants(header: &str) -> BTreeMap<String, u32> {
    let defines = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    defines.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?))).collect()
}

/// Every function of the header.
pub fn exports(header: &str) -> Vec<Export> {
    let statuses: BTreeSet<_> = constants(header)
        .into_keys()
        .filter_map(|name| Some(name.strip_prefix("DIFFQUANT_STATUS_")?.to_owned()))
        .collect();
    let mut exports = Vec::new();
    // Each function is a comment, then a declaration up to its semicolon.
    for part in header.split("/**").skip(1) {
        let (comment, code) = part.split_once("*/").expect("comments end");
        let Some((declaration, _)) = code.split_once(");").filter(|(code, _)| !code.contains("typedef")) else {
            continue;
        };
        let (head, parameters) = declaration.split_once('(').expect("a function has parentheses");
        let name_start = head.rfind("diffquant_").unwrap();
        let arguments = parameters.split(',').map(|parameter| parameter.rsplit([' ', '*']).next().unwrap());
        let returned = comment.split_once("@return").map_or("", |(_, text)| text);
        let words = returned.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        let documented = words.map(|word| word.strip_prefix("DIFFQUANT_STATUS_").unwrap_or(word));
        exports.push(Export {
            returns: head[..name_start].trim().to_owned(),
            name: head[name_start..].to_owned(),
            parameters: parameters.to_owned(),
            arguments: arguments.filter(|argument| *argument != "void").collect::<Vec<_>>().join(", "),
            documented: documented.filter(|word| statuses.contains(*word)).map(str::to_owned).collect(),
        });
    }
    exports
}

/// What remains of C when the comments are gone.
pub fn without_comments(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        rest = &rest[start..];
        rest = &rest[rest.find("*/").expect("comments end") + 2..];
    }
    code + rest
}
