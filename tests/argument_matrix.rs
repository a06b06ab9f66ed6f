//! Every function of the header, called with every combination of good and bad arguments.
//!
//! The calls are generated from the header alone: the type and the name of a parameter say which values it is tried
//! with, so a new function is in the matrix as soon as it is in the header, and one that cannot be put there fails the
//! test. `c_tests/matrix` makes the values and looks at each call: it ends in a status that is not INTERNAL; when it is
//! refused it leaves a message, and its outputs and objects are as they were; inputs always are. Every buffer ends where
//! memory ends, so one byte too far is a crash, which names the call.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use common::build::{SANITIZERS, c_tests, compiler, library_dir, link, sanitized, scratch, valgrind};
use common::header::{Export, constants, exports, header};
use common::{built, run};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// What there is to know of the header beside its functions.
struct Types {
    constants: BTreeMap<String, u32>,
    /// Names of opaque types, without prefix.
    handles: Vec<String>,
    /// Names of enumerations, without prefix.
    enumerations: Vec<String>,
}

impl Types {
    fn of(header: &str) -> Types {
        let (mut handles, mut enumerations) = (Vec::new(), Vec::new());
        for line in header.lines() {
            if let Some(name) = line.strip_prefix("typedef struct diffquant_") {
                // The line of a struct that is no secret ends in a brace.
                handles.extend(name.split_once(' ').filter(|(_, rest)| *rest != "{").map(|(name, _)| name.to_owned()));
            } else if let Some(name) = line.strip_prefix("typedef uint32_t diffquant_") {
                enumerations.push(name.trim_end_matches(';').to_owned());
            }
        }
        Types { constants: constants(header), handles, enumerations }
    }

    /// The constants of an enumeration, and numbers that are none.
    fn values_of(&self, enumeration: &str) -> Vec<u32> {
        let prefix = format!("DIFFQUANT_{}_", enumeration.to_uppercase());
        let mut values: Vec<u32> =
            self.constants.iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(_, value)| *value).collect();
        assert!(!values.is_empty(), "no constant {prefix}*");
        values.sort_unstable();
        values.extend([values[values.len() - 1] + 1, u32::MAX]);
        values
    }
}

/// A parameter: its type without qualifiers of the parameter itself, and its name.
struct Parameter {
    kind: String,
    name: String,
}

impl Parameter {
    fn parse(text: &str) -> Parameter {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let name_start = text.rfind([' ', '*']).expect("a parameter has a type and a name") + 1;
        Parameter { kind: text[..name_start].trim().to_owned(), name: text[name_start..].to_owned() }
    }
}

/// How a parameter is tried: the number of its values, and the expression of value `i`.
struct Tried {
    values: String,
    expression: String,
}

/// A function whose calls are to be written.
struct Function<'a> {
    export: &'a Export,
    types: &'a Types,
    parameters: Vec<Parameter>,
}

/// Sizes that say how many elements there are of the arrays that have no size of their own.
const ARRAY_SIZES: [&str; 2] = ["count", "scale_count"];
/// Tensors: n elements each.
const TENSORS: [&str; 6] = ["w", "x", "values", "codes", "grad_out", "grad_w"];
/// Arrays of a number per group.
const PER_GROUP: [&str; 2] = ["grad_scale", "grad_offset"];
/// Single numbers beside arrays.
const SINGLE: [&str; 2] = ["projected", "len"];

impl<'a> Function<'a> {
    fn new(export: &'a Export, types: &'a Types) -> Self {
        let parameters = match export.parameters.as_str() {
            "void" => Vec::new(),
            list => list.split(',').map(Parameter::parse).collect(),
        };
        Function { export, types, parameters }
    }

    fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == name)
    }

    fn name(&self) -> &str {
        &self.export.name
    }

    /// How many elements a pointer's memory has, as an expression.
    fn elements(&self, index: usize) -> String {
        let name = self.parameters[index].name.as_str();
        let next = self.parameters.get(index + 1).filter(|next| next.kind == "size_t");
        let array_size = ARRAY_SIZES.iter().find(|size| self.has(size));
        if TENSORS.contains(&name) && self.has("n") {
            return "n".into();
        }
        if let Some(next) =
            next.filter(|next| ["count", "scale_count", "len", "cap", "ndim"].contains(&next.name.as_str()))
        {
            return next.name.clone();
        }
        match array_size {
            Some(size) if !SINGLE.contains(&name) => (*size).into(),
            _ if PER_GROUP.contains(&name) => "matrix_groups(choice_quantizer)".into(),
            _ => "1".into(),
        }
    }

    /// How a parameter is tried.
    fn tried(&self, index: usize) -> Tried {
        let Parameter { kind, name } = &self.parameters[index];
        let choice = format!("choice_{name}");
        let tried = |values: &str, expression: String| Tried { values: values.into(), expression };
        let of_diffquant = |kind: &str| kind.strip_prefix("diffquant_").map(str::to_owned);
        let is_handle = |name: &str| self.types.handles.iter().any(|handle| handle == name);
        // Bytes have no alignment to miss.
        let pointers = |bytes: &str| if bytes == "1" { "MATRIX_POINTERS - 1" } else { "MATRIX_POINTERS" }.to_owned();
        let elements = self.elements(index);

        if let Some(handle) = kind.strip_suffix(" **").and_then(of_diffquant) {
            return tried("MATRIX_POINTERS", format!("matrix_out_handle(matrix_release_{handle}, {choice})"));
        }
        if let Some(pointee) = kind.strip_suffix(" *") {
            let (constant, pointee) = match pointee.strip_prefix("const ") {
                Some(pointee) => (true, pointee),
                None => (false, pointee),
            };
            if let Some(handle) = of_diffquant(pointee).filter(|name| is_handle(name)) {
                let freed = if self.export.returns == "void" { "freed_" } else { "" };
                let values = if freed.is_empty() {
                    format!("MATRIX_{}_HANDLES", handle.to_uppercase())
                } else {
                    "MATRIX_FREED".to_owned()
                };
                return tried(&values, format!("matrix_{freed}{handle}({choice})"));
            }
            let (bytes, fill) = match pointee {
                "void" if self.has("dtype") => ("(dtype == DIFFQUANT_DTYPE_F32 ? 4u : 2u)".to_owned(), {
                    "dtype == DIFFQUANT_DTYPE_F32 ? FILL_FLOATS : FILL_HALVES"
                }),
                "void" => return tried("2", format!("({choice} == 0 ? NULL : (void *)&matrix_at_end)")),
                "char" => ("1".into(), "FILL_JSON"),
                "int8_t" => ("1".into(), "FILL_CODES"),
                "float" => ("sizeof(float)".into(), "FILL_FLOATS"),
                "int32_t" => ("sizeof(int32_t)".into(), "FILL_ZERO_POINTS"),
                "size_t" => ("sizeof(size_t)".into(), "FILL_SHAPE"),
                other => (format!("sizeof({other})"), ""),
            };
            assert!(!constant || !fill.is_empty(), "{}: no way to fill {kind}", self.name());
            let values = pointers(&bytes);
            return match constant {
                true => tried(&values, format!("matrix_input({fill}, {elements}, {bytes}, {choice})")),
                false => tried(&values, format!("matrix_output({elements}, {bytes}, {choice})")),
            };
        }
        if let Some(enumeration) = of_diffquant(kind).filter(|name| self.types.enumerations.contains(name)) {
            let values = self.types.values_of(&enumeration);
            let list = values.iter().map(|value| format!("{value}u")).collect::<Vec<_>>().join(", ");
            return Tried {
                values: values.len().to_string(),
                expression: format!("((const uint32_t[]){{{list}}})[{choice}]"),
            };
        }
        match (kind.as_str(), name.as_str()) {
            ("size_t", "len") => tried("MATRIX_TEXTS", format!("matrix_text_length({choice}, \"{}\")", self.name())),
            ("size_t", "cap") => tried("MATRIX_CAPACITIES", format!("matrix_capacity({choice})")),
            ("size_t", _) => tried("MATRIX_SIZES", format!("matrix_sizes[{choice}]")),
            ("float", _) => tried("MATRIX_FLOATS", format!("matrix_floats[{choice}]")),
            ("uint32_t", _) => tried("MATRIX_NUMBERS", format!("matrix_numbers[{choice}]")),
            ("uint64_t", _) => tried("MATRIX_LONG_NUMBERS", format!("matrix_long_numbers[{choice}]")),
            ("diffquant_parallel_for", _) => tried("2", format!("({choice} == 0 ? matrix_pool : NULL)")),
            _ => panic!("{}: no values for {kind} {name}", self.name()),
        }
    }

    /// The order in which arguments are made: how large a buffer is must be known before it is made.
    fn order(&self) -> Vec<usize> {
        let is_pointer = |index: &usize| self.parameters[*index].kind.ends_with('*');
        let (pointers, numbers): (Vec<usize>, Vec<usize>) = (0..self.parameters.len()).partition(|i| is_pointer(i));
        numbers.into_iter().chain(pointers).collect()
    }

    /// A call with the arguments that were made, and what it is followed by.
    fn call(&self) -> String {
        let arguments = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>().join(", ");
        let call = format!("{}({arguments})", self.name());
        let partial = if self.name().ends_with("_to_json") { "BUFFER_TOO_SMALL" } else { "OK" };
        match self.export.returns.as_str() {
            "diffquant_status" => format!("matrix_end({call}, DIFFQUANT_STATUS_{partial});"),
            "void" => format!("{call};\nmatrix_end(DIFFQUANT_STATUS_OK, DIFFQUANT_STATUS_OK);"),
            "const char *" => {
                format!("CHECK({call} != NULL);\nmatrix_end(DIFFQUANT_STATUS_OK, DIFFQUANT_STATUS_OK);")
            }
            "uint32_t" => format!("CHECK({call} > 0);\nmatrix_end(DIFFQUANT_STATUS_OK, DIFFQUANT_STATUS_OK);"),
            other => panic!("{}: no way to look at {other}", self.name()),
        }
    }

    /// The statements that make the arguments: of each the expression that `of` gives.
    fn arguments(&self, of: impl Fn(usize) -> String) -> String {
        let mut code = String::new();
        for index in self.order() {
            let Parameter { kind, name } = &self.parameters[index];
            let space = if kind.ends_with('*') { "" } else { " " };
            writeln!(code, "{kind}{space}{name} = {};", of(index)).unwrap();
        }
        code
    }

    /// A C function that calls with every combination.
    fn combinations(&self) -> String {
        let mut code = format!("static void combinations_{}(void) {{\n", self.name());
        for (index, Parameter { name, .. }) in self.parameters.iter().enumerate() {
            let values = self.tried(index).values;
            writeln!(code, "for (size_t choice_{name} = 0; choice_{name} < {values}; choice_{name}++)").unwrap();
        }
        let choices: Vec<_> = self.parameters.iter().map(|parameter| format!("choice_{}", parameter.name)).collect();
        let (count, list) = (choices.len(), if choices.is_empty() { "0".into() } else { choices.join(", ") });
        writeln!(code, "if (matrix_begin(\"{}\", (const size_t[]){{{list}}}, {count})) {{", self.name()).unwrap();
        code + &self.arguments(|index| self.tried(index).expression) + &self.call() + "\n}\n}\n"
    }

    /// A C function that calls with good arguments and `n` elements.
    fn lengths(&self) -> Option<String> {
        let has_tensor = TENSORS.iter().any(|name| self.has(name));
        (has_tensor && self.has("n")).then(|| {
            let dtypes = if self.has("dtype") { 3 } else { 1 };
            let mut code = format!("static void lengths_{}(size_t length) {{\n", self.name());
            writeln!(code, "for (size_t choice_dtype = 0; choice_dtype < {dtypes}; choice_dtype++) {{").unwrap();
            for Parameter { name, .. } in self.parameters.iter().filter(|parameter| parameter.name != "dtype") {
                writeln!(code, "const size_t choice_{name} = 0; (void)choice_{name};").unwrap();
            }
            writeln!(code, "matrix_begin(\"{}\", &length, 1);", self.name()).unwrap();
            code += &self.arguments(|index| {
                let Parameter { kind, name } = &self.parameters[index];
                match (kind.as_str(), name.as_str()) {
                    ("size_t", "n") => "length".into(),
                    ("size_t", name) if ARRAY_SIZES.contains(&name) => "matrix_groups(0)".into(),
                    _ => self.tried(index).expression,
                }
            });
            code + &self.call() + "\n}\n}\n"
        })
    }
}

/// The calls of every function, as a C file.
fn calls(exports: &[Export], types: &Types) -> String {
    let mut code = "#include \"matrix.h\"\n\n".to_owned();
    let mut rows = String::new();
    for export in exports {
        let function = Function::new(export, types);
        let (name, lengths) = (function.name(), function.lengths());
        let row = if lengths.is_some() { format!("lengths_{name}") } else { "NULL".into() };
        code += &function.combinations();
        code += &lengths.unwrap_or_default();
        writeln!(rows, "    {{\"{name}\", combinations_{name}, {row}}},").unwrap();
    }
    format!("{code}\nconst struct matrix_row matrix_rows[] = {{\n{rows}    {{NULL, NULL, NULL}},\n}};\n")
}

/// The program, compiled with `flags`.
fn build(name: &str, flags: &[&str]) -> std::path::PathBuf {
    let header = header();
    let dir = scratch(name);
    fs::write(dir.join("calls.c"), calls(&exports(&header), &Types::of(&header))).unwrap();
    let here =
        ["check.c", "support.c", "island.c", "matrix/matrix.c", "matrix/handles.c"].map(|file| c_tests().join(file));
    let sources: Vec<_> = here.into_iter().chain([dir.join("calls.c")]).collect();
    let mut compile = compiler(1);
    compile.current_dir(&dir).arg("-I").arg(c_tests().join("matrix")).args(flags).arg("-c").args(&sources);
    run(&mut compile);
    let objects: Vec<_> =
        sources.iter().map(|source| dir.join(source.file_stem().unwrap()).with_extension("o")).collect();
    let program = dir.join("matrix");
    link(&objects, &program, flags);
    program
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        library_dir();
        build("program", &[])
    })
}

/// Calls of each function, and how many were accepted, from what the program prints.
fn counts(stdout: &str) -> BTreeMap<&str, [u64; 2]> {
    stdout
        .lines()
        .filter_map(|line| {
            let (name, counts) = line.strip_suffix(" accepted")?.split_once(": ")?;
            let (calls, accepted) = counts.split_once(" calls, ")?;
            Some((name, [calls.parse().unwrap(), accepted.parse().unwrap()]))
        })
        .collect()
}

#[test]
fn every_function_takes_or_refuses_every_combination_of_arguments_and_a_refusal_changes_nothing() {
    let stdout = run(built(program()).arg("combinations"));
    let counts = counts(&stdout);
    println!("{} calls of {} functions", counts.values().map(|[calls, _]| calls).sum::<u64>(), counts.len());
    for export in exports(&header()) {
        let [calls, accepted] = counts[export.name.as_str()];
        assert!(accepted > 0, "{}: none of {calls} calls was accepted", export.name);
        let can_fail = export.returns == "diffquant_status";
        assert_eq!(calls > accepted, can_fail, "{}: {accepted} of {calls} calls were accepted", export.name);
    }
}

#[test]
fn every_length_to_300_on_every_instruction_set_stays_between_the_pages_around_its_buffers() {
    let stdout = run(built(program()).arg("lengths"));
    let counts = counts(&stdout);
    println!("{} calls of {} functions", counts.values().map(|[calls, _]| calls).sum::<u64>(), counts.len());
    assert!(counts.len() >= 8, "{counts:?}");
    for (name, [calls, _]) in counts {
        assert!(calls >= 2 * 301, "{name}: {calls} calls");
    }
}

#[test]
fn the_matrix_passes_under_valgrind_without_an_error_or_a_leak() {
    // Every eleventh: it takes thirty times as long.
    for mode in [&["combinations", "11"][..], &["lengths"]] {
        let stdout = run(valgrind(program()).args(mode));
        assert!(counts(&stdout).len() >= 8, "{stdout}");
    }
}

#[test]
fn the_matrix_passes_under_the_address_and_undefined_behaviour_sanitizers() {
    let program = build("sanitized", &SANITIZERS);
    for mode in ["combinations", "lengths"] {
        let stdout = run(sanitized(&program).arg(mode));
        assert!(counts(&stdout).len() >= 8, "{stdout}");
    }
}
