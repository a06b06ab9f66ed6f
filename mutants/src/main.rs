//! Puts every mutant of a source into it at once, each asleep until its number is asked for when the program runs.
//!
//! To build the library once for each mutant takes minutes each. So `a < b` becomes `if on(17) { a <= b } else { a < b }`, with the operands
//! computed once, and one build has them all; the variable DIFFQUANT_MUTANT wakes one. Line numbers stay as they are.
//!
//!     diffquant-mutants ROOT EXCLUDED FILE...
//!
//! changes the files, whose names are below ROOT, and prints a line for each mutant: number, file, line, function, what it does. Those whose
//! numbers are in the file EXCLUDED are left out: they would not compile.

mod edit;

use edit::Editor;
use std::collections::HashSet;
use std::path::Path;
use std::{env, fs};
use syn::visit::Visit;

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("ROOT EXCLUDED FILE...");
    let (root, excluded) = (next(), next());
    let excluded: HashSet<u32> = fs::read_to_string(&excluded)
        .expect(&excluded)
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect();
    let mut number = 0;
    for name in arguments {
        let path = Path::new(&root).join(&name);
        let source = fs::read_to_string(&path).expect(&name);
        let mut editor = Editor::new(&name, &source, number, &excluded);
        editor.visit_file(&syn::parse_file(&source).expect(&name));
        number = editor.last_number();
        fs::write(&path, editor.edited()).expect(&name);
    }
}
