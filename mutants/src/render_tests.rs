use super::render;
use crate::sites;

/// Every change of `source`, rendered, with numbers from 1.
fn all(source: &str) -> String {
    let sites = sites::of(source).expect("it parses");
    let numbered: Vec<_> = (1..).zip(&sites).collect();
    let text = render(source, &numbered);
    syn::parse_file(&text).expect("what is rendered parses");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_operator_stands_beside_each_of_its_others() {
    assert_eq!(
        all("fn f(a: u8) { use_it(a == 1); }"),
        "fn f(a: u8) { if crate::mutant(1) { return ; } \
         use_it((if crate::mutant(2) { a != 1 } else { a == 1 })); }"
    );
}

#[test]
fn what_holds_another_change_keeps_it_where_it_is_not_changed_itself() {
    let text = all("fn f(a: bool, b: bool) -> T { !a && b }");
    assert_eq!(
        text,
        "fn f(a: bool, b: bool) -> T { if crate::mutant(1) { return Default::default(); } \
         (if crate::mutant(2) { !a || b } else { (if crate::mutant(3) { a } else { !a }) && b }) }"
    );
}

#[test]
fn a_guard_holds_always_or_never_and_an_arm_is_left_out_where_another_takes_its_place() {
    let text = all("fn f(a: u8) -> T { match a { 1 if g(a) => x(), 2 => y(), _ => z() } }");
    assert!(text.contains("1 if (crate::mutant(2) || ((!crate::mutant(3) && (g(a)))))"), "{text}");
    assert!(text.contains("2 if !crate::mutant(4) => y()"), "{text}");
}

#[test]
fn what_the_compiler_works_out_and_what_names_a_part_is_left_alone() {
    for source in [
        "const A: u8 = 1 + 1;",
        "static A: [u8; 2 + 2] = [0; 2 + 2];",
        "const fn f(a: u8) -> u8 { a + 1 }",
        "#[cfg(test)] mod tests { fn f(a: u8) -> u8 { a + 1 } }",
        "impl Debug for T { fn fmt(&self) -> u8 { self.a + 1 } }",
    ] {
        assert!(sites::of(source).expect("it parses").is_empty(), "{source}");
    }
    let names = "fn f(a: Option<u8>) -> T { if let Some(b) = a && g(b) { h() } else { i() } }";
    assert_eq!(sites::of(names).expect("it parses").len(), 1, "only that it returns at once");
}

#[test]
fn a_change_without_a_number_is_left_out() {
    let source = "fn f(a: u8) -> T { a + 1; a - 1 }";
    let sites = sites::of(source).expect("it parses");
    let text = render(source, &[(5, sites.last().expect("there are some"))]);
    assert_eq!(text, "fn f(a: u8) -> T { a + 1; (if crate::mutant(5) { a / 1 } else { a - 1 }) }");
}
