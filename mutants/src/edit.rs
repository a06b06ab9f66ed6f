//! The mutants, and where they go: pieces of text between those of a source.

use proc_macro2::Span;
use std::collections::HashSet;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, BinOp, Block, Expr, ExprBinary, ExprCall, ExprIf, ExprLit, ExprUnary, ImplItem, ImplItemFn, Item,
    ItemFn, Lit, ReturnType, Signature, Stmt, TraitItem, TraitItemFn, Type, UnOp,
};

pub struct Editor<'a> {
    file: &'a str,
    source: &'a str,
    /// Where, how many bytes go away, and what comes in. Of those at one place the first comes first.
    edits: Vec<(usize, usize, String)>,
    number: u32,
    excluded: &'a HashSet<u32>,
    function: Vec<String>,
}

/// The operator that takes another's place.
fn instead(operator: &BinOp) -> Option<&'static str> {
    Some(match operator {
        BinOp::Add(_) => "-",
        BinOp::Sub(_) => "+",
        BinOp::Mul(_) => "/",
        BinOp::Div(_) => "*",
        BinOp::Rem(_) => "/",
        BinOp::BitAnd(_) => "|",
        BinOp::BitOr(_) | BinOp::BitXor(_) => "&",
        BinOp::Shl(_) => ">>",
        BinOp::Shr(_) => "<<",
        BinOp::Lt(_) => "<=",
        BinOp::Le(_) => "<",
        BinOp::Gt(_) => ">=",
        BinOp::Ge(_) => ">",
        BinOp::Eq(_) => "!=",
        BinOp::Ne(_) => "==",
        BinOp::AddAssign(_) => "-=",
        BinOp::SubAssign(_) => "+=",
        BinOp::MulAssign(_) => "/=",
        BinOp::DivAssign(_) => "*=",
        BinOp::BitAndAssign(_) => "|=",
        BinOp::BitOrAssign(_) => "&=",
        _ => return None,
    })
}

/// Values of a type that are easily had, as text.
fn values(of: &Type) -> Vec<String> {
    let Type::Path(path) = of else {
        return match of {
            Type::Tuple(tuple) if tuple.elems.is_empty() => vec!["()".into()],
            _ => Vec::new(),
        };
    };
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    let texts: &[&str] = match last.ident.to_string().as_str() {
        "bool" => &["true", "false"],
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => &["0", "1"],
        "f32" | "f64" => &["0.0", "1.0"],
        "diffquant_status" => &["0"],
        "String" => &["String::new()"],
        "Vec" => &["Vec::new()"],
        "Option" => &["None"],
        "Result" => {
            let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return Vec::new() };
            let Some(syn::GenericArgument::Type(of)) = arguments.args.first() else { return Vec::new() };
            return values(of).iter().map(|value| format!("Ok({value})")).collect();
        }
        _ => &[],
    };
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Whether a condition binds names, so that it cannot be put into parentheses.
fn binds(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) => binds(&binary.left) || binds(&binary.right),
        _ => false,
    }
}

/// Whether something is there only under a condition: in tests, or on another machine.
fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("test"))
}

impl<'a> Editor<'a> {
    pub fn new(file: &'a str, source: &'a str, number: u32, excluded: &'a HashSet<u32>) -> Self {
        Editor { file, source, edits: Vec::new(), number, excluded, function: Vec::new() }
    }

    pub fn last_number(&self) -> u32 {
        self.number
    }

    pub fn edited(mut self) -> String {
        self.edits.sort_by_key(|(place, ..)| *place);
        let (mut text, mut done) = (String::new(), 0);
        for (place, less, more) in &self.edits {
            text.push_str(&self.source[done..*place]);
            text.push_str(more);
            done = place + less;
        }
        text + &self.source[done..]
    }

    /// The condition that wakes the next mutant, unless it is left out.
    fn mutant(&mut self, at: Span, what: &str) -> Option<String> {
        self.number += 1;
        if self.excluded.contains(&self.number) {
            return None;
        }
        let function = self.function.last().map_or("-", String::as_str);
        println!("{}\t{}\t{}\t{function}\t{what}", self.number, self.file, at.start().line);
        Some(format!("crate::mutants::on({})", self.number))
    }

    fn insert(&mut self, place: usize, text: impl Into<String>) {
        self.edits.push((place, 0, text.into()));
    }

    fn replace(&mut self, span: Span, text: impl Into<String>) {
        let range = span.byte_range();
        self.edits.push((range.start, range.len(), text.into()));
    }

    fn text(&self, span: Span) -> &'a str {
        &self.source[span.byte_range()]
    }

    /// A condition that is taken for its opposite.
    fn flip(&mut self, condition: &Expr) {
        let range = condition.span().byte_range();
        let on = if binds(condition) { None } else { self.mutant(condition.span(), "the opposite of the condition") };
        if on.is_some() {
            self.insert(range.start, "((");
        }
        self.visit_expr(condition);
        if let Some(on) = on {
            self.insert(range.end, format!(") != {on})"));
        }
    }

    /// A function that returns at once.
    fn function(&mut self, signature: &Signature, block: &Block) {
        if signature.constness.is_some() {
            return;
        }
        self.function.push(signature.ident.to_string());
        let values = match &signature.output {
            ReturnType::Default => vec![String::new()],
            ReturnType::Type(_, of) => values(of),
        };
        let braces = block.brace_token.span;
        let body = braces.open().byte_range().end..braces.close().byte_range().start;
        for value in values {
            // That would break nothing.
            if self.source[body.clone()].trim() == value {
                self.number += 1;
            } else if let Some(on) = self.mutant(signature.span(), format!("return {value} at once").as_str()) {
                self.insert(body.start, format!(" if {on} {{ return {value}; }}"));
            }
        }
        self.visit_block(block);
        self.function.pop();
    }
}

impl<'ast> Visit<'ast> for Editor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Const(_) | Item::Static(_) | Item::Enum(_) | Item::Struct(_) | Item::Macro(_) | Item::Type(_) => {}
            Item::Mod(module) if is_conditional(&module.attrs) => {}
            Item::Fn(ItemFn { attrs, .. }) if is_conditional(attrs) => {}
            Item::Impl(of) if is_conditional(&of.attrs) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(ImplItemFn { attrs, sig, block, .. }) = item
            && !is_conditional(attrs)
        {
            self.function(sig, block);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if let TraitItem::Fn(TraitItemFn { sig, default: Some(block), .. }) = item {
            self.function(sig, block);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let Stmt::Expr(expression, Some(semicolon)) = statement else { return visit::visit_stmt(self, statement) };
        let removable = match expression {
            Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) | Expr::Try(_) => true,
            Expr::Binary(binary) => instead(&binary.op).is_some(),
            _ => false,
        };
        let range = expression.span().byte_range();
        let on = if removable { self.mutant(expression.span(), "leave out the statement") } else { None };
        if let Some(on) = &on {
            self.insert(range.start, format!("if !{on} {{ "));
        }
        self.visit_expr(expression);
        if on.is_some() {
            self.insert(semicolon.span.byte_range().end, " }");
        }
    }

    fn visit_expr_if(&mut self, expression: &'ast ExprIf) {
        self.flip(&expression.cond);
        self.visit_block(&expression.then_branch);
        if let Some((_, otherwise)) = &expression.else_branch {
            self.visit_expr(otherwise);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            self.flip(guard);
        }
        if !is_conditional(&arm.attrs) {
            self.visit_expr(&arm.body);
        }
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let range = binary.span().byte_range();
        let operator = self.text(binary.op.span());
        let logical = matches!(binary.op, BinOp::And(_) | BinOp::Or(_));
        let new = match &binary.op {
            BinOp::And(_) => Some("||"),
            BinOp::Or(_) => Some("&&"),
            other => instead(other),
        };
        let assigns = operator.ends_with('=') && !matches!(operator, "==" | "!=" | "<=" | ">=");
        let new = new.filter(|_| !(binds(&binary.left) || binds(&binary.right)));
        let on = new.and_then(|new| Some((new, self.mutant(binary.op.span(), &format!("{operator} becomes {new}"))?)));
        let Some((new, on)) = on else { return visit::visit_expr_binary(self, binary) };
        if assigns {
            // The place twice, the operand once.
            let place = self.text(binary.left.span());
            let left = binary.left.span().byte_range();
            self.edits.push((left.start, left.len(), "match (".into()));
            self.replace(binary.op.span(), "");
            self.visit_expr(&binary.right);
            let arms = format!(") {{ __b => if {on} {{ {place} {new} __b }} else {{ {place} {operator} __b }} }}");
            self.insert(range.end, arms);
            return;
        }
        let compares = matches!(operator, "<" | "<=" | ">" | ">=" | "==" | "!=");
        let (start, middle, end) = if logical {
            let decides = if operator == "&&" { "!=" } else { "==" };
            ("(match (".to_owned(), format!(") {{ __a => if __a {decides} {on} {{ "), " } else { __a } })".to_owned())
        } else {
            let by = if compares { "&" } else { "" };
            (
                format!("(match ({by}("),
                format!("), {by}("),
                format!(")) {{ (__a, __b) => if {on} {{ __a {new} __b }} else {{ __a {operator} __b }} }})"),
            )
        };
        self.insert(range.start, start);
        self.visit_expr(&binary.left);
        self.replace(binary.op.span(), middle);
        self.visit_expr(&binary.right);
        self.insert(range.end, end);
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        let operator = self.text(unary.op.span());
        let sound = matches!(unary.op, UnOp::Not(_) | UnOp::Neg(_)) && !matches!(*unary.expr, Expr::Lit(_));
        let on = if sound { self.mutant(unary.op.span(), &format!("without {operator}")) } else { None };
        let Some(on) = on else { return visit::visit_expr_unary(self, unary) };
        self.replace(unary.op.span(), "(match (");
        self.visit_expr(&unary.expr);
        let end = unary.span().byte_range().end;
        self.insert(end, format!(") {{ __a => if {on} {{ __a }} else {{ {operator}__a }} }})"));
    }

    fn visit_expr_lit(&mut self, literal: &'ast ExprLit) {
        let (digits, suffix) = match &literal.lit {
            Lit::Int(number) => (number.base10_digits().to_owned(), number.suffix().to_owned()),
            Lit::Float(number) => (number.base10_digits().to_owned(), number.suffix().to_owned()),
            _ => return,
        };
        let text = self.text(literal.span());
        let other = match digits.parse::<u64>() {
            Ok(number) => number.wrapping_add(1).to_string() + &suffix,
            Err(_) => format!("{:?}{suffix}", digits.parse::<f64>().map_or(0.0, |number| number * 2.0 + 1.0)),
        };
        if let Some(on) = self.mutant(literal.span(), &format!("{text} becomes {other}")) {
            self.replace(literal.span(), format!("(if {on} {{ {other} }} else {{ {text} }})"));
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        // What is called is a path.
        call.args.iter().for_each(|argument| self.visit_expr(argument));
    }

    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    // Where there are numbers that have to be known when the library is compiled.
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}
