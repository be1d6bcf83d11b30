//! Where a source can be changed a little, and into what: other operators, guards that always or never hold, arms that
//! are left out, functions that return at once.

use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ExprBinary, ExprMatch, ExprUnary, ImplItemFn, ItemFn, ReturnType, Signature, UnOp};

use crate::values;

/// How the text of a place is written anew.
pub(crate) enum Form {
    /// Another expression of the same parts: `(if on(n) { … } else { as it was })`.
    Instead(String),
    /// What holds beside the guard's own condition: `on(n) || (…)`, `!on(n) && (…)`.
    Always,
    Never,
    /// A guard for an arm that has none, at the end of its pattern.
    Without,
    /// A return in front of all that a function does.
    Return(String),
}

/// One change.
pub(crate) struct Site {
    pub(crate) at: Range<usize>,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) what: String,
    pub(crate) form: Form,
}

struct Sites<'a> {
    source: &'a str,
    /// The functions that are around, the innermost last.
    inside: Vec<String>,
    of: Option<String>,
    found: Vec<Site>,
}

/// All that can be changed in a file's text; places hold each other or lie apart.
pub(crate) fn of(source: &str) -> syn::Result<Vec<Site>> {
    let file = syn::parse_file(source)?;
    let mut sites = Sites { source, inside: Vec::new(), of: None, found: Vec::new() };
    sites.visit_file(&file);
    Ok(sites.found)
}

impl Sites<'_> {
    fn text(&self, span: Span) -> &str {
        self.source.get(span.byte_range()).unwrap_or_default()
    }

    fn add(&mut self, span: Span, at: Range<usize>, what: String, form: Form) {
        let within = self.inside.last().map(|name| format!(" in {name}")).unwrap_or_default();
        let place = span.start();
        let what = format!("{what}{within}");
        self.found.push(Site { at, line: place.line, column: place.column + 1, what, form });
    }

    fn within(&mut self, attributes: &[syn::Attribute], signature: &Signature, block: &syn::Block) {
        if signature.constness.is_none() && !is_for_tests(attributes) {
            self.function(signature, block);
            visit::visit_block(self, block);
            self.inside.pop();
        }
    }

    fn function(&mut self, signature: &Signature, block: &syn::Block) {
        let name = match &self.of {
            Some(of) => format!("{of}::{}", signature.ident),
            None => signature.ident.to_string(),
        };
        self.inside.push(name);
        if !block.stmts.is_empty() {
            let whole = self.text(block.span()).replace(char::is_whitespace, "");
            let at = block.brace_token.span.open().byte_range().end;
            let values = match &signature.output {
                ReturnType::Default => vec![String::new()],
                ReturnType::Type(_, of) => values::of(of),
            };
            for value in values {
                // The same body would be no change.
                if whole != format!("{{{}}}", value.replace(char::is_whitespace, "")) {
                    let shown = if value.is_empty() { "()" } else { &value };
                    self.add(
                        signature.ident.span(),
                        at..at,
                        format!("return {shown}"),
                        Form::Return(value.clone()),
                    );
                }
            }
        }
    }

    fn guard(&mut self, arm: &syn::Arm, may_miss: bool) {
        match &arm.pat {
            syn::Pat::Guard(pattern) if !has_let(&pattern.guard) => {
                let span = pattern.guard.span();
                let shown = format!("guard `{}`", self.text(span));
                self.add(span, span.byte_range(), format!("{shown} always holds"), Form::Always);
                self.add(span, span.byte_range(), format!("{shown} never holds"), Form::Never);
            }
            syn::Pat::Guard(_) | syn::Pat::Wild(_) => {}
            pattern if may_miss => {
                let span = pattern.span();
                let end = span.byte_range().end;
                let what = format!("leave out arm `{}`", self.text(span));
                self.add(span, end..end, what, Form::Without);
            }
            _ => {}
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
    })
}

/// A condition that names what it matches cannot be one side of a choice.
fn has_let(of: &Expr) -> bool {
    match of {
        Expr::Let(_) => true,
        Expr::Binary(both) => has_let(&both.left) || has_let(&both.right),
        _ => false,
    }
}

fn others(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">", "=="],
        BinOp::Gt(_) => &[">=", "<", "=="],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["*", "%"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::BitAnd(_) => &["|", "^"],
        BinOp::BitOr(_) => &["&", "^"],
        BinOp::BitXor(_) => &["&", "|"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+=", "/="],
        BinOp::MulAssign(_) => &["+=", "/="],
        BinOp::BitAndAssign(_) => &["|=", "^="],
        BinOp::BitOrAssign(_) => &["&=", "^="],
        BinOp::BitXorAssign(_) => &["&=", "|="],
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Sites<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.within(&item.attrs, &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.within(&item.attrs, &item.sig, &item.block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = self.text(item.self_ty.span()).to_owned();
        // What a value looks like in a debugger is promised to nobody.
        let is_debug =
            item.trait_.as_ref().is_some_and(|(path, _)| self.text(path.span()).ends_with("Debug"));
        if !is_for_tests(&item.attrs) && !is_debug {
            let before = self.of.replace(of);
            visit::visit_item_impl(self, item);
            self.of = before;
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_binary(&mut self, both: &'ast ExprBinary) {
        let span = both.span();
        if !has_let(&both.left) && !has_let(&both.right) {
            let (left, right) =
                (self.text(both.left.span()).to_owned(), self.text(both.right.span()).to_owned());
            let was = self.text(both.op.span()).to_owned();
            for other in others(&both.op) {
                let what = format!("`{was}` is `{other}` in `{}`", self.text(span));
                let instead = Form::Instead(format!("{left} {other} {right}"));
                self.add(both.op.span(), span.byte_range(), what, instead);
            }
        }
        visit::visit_expr_binary(self, both);
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        let span = unary.span();
        if matches!(unary.op, UnOp::Not(_) | UnOp::Neg(_)) {
            let inner = self.text(unary.expr.span()).to_owned();
            let what = format!("no `{}` in `{}`", self.text(unary.op.span()), self.text(span));
            self.add(span, span.byte_range(), what, Form::Instead(inner));
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_match(&mut self, choice: &'ast ExprMatch) {
        let may_miss = choice.arms.iter().any(|arm| matches!(arm.pat, syn::Pat::Wild(_)));
        for arm in &choice.arms {
            self.guard(arm, may_miss);
        }
        visit::visit_expr_match(self, choice);
    }

    // Of a pattern, only what is asked beside it.
    fn visit_pat(&mut self, pattern: &'ast syn::Pat) {
        if let syn::Pat::Guard(pattern) = pattern {
            self.visit_expr(&pattern.guard);
        }
    }

    // What the compiler works out has no switch; types and attributes hold no work.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
