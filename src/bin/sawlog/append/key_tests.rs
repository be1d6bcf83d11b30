use super::*;

fn key(rule: &str, line: &str) -> Option<String> {
    rule.parse::<KeyFrom>().unwrap().key(line.as_bytes())
}

#[test]
fn a_key_stands_where_the_rule_says() {
    assert_eq!(key("field:2", "GET  /a 200").as_deref(), Some("/a"));
    assert_eq!(key("field:2:;", "a; b c;d").as_deref(), Some("b c"));
    assert_eq!(key("field:2:::", "a::b::c").as_deref(), Some("b"));
    assert_eq!(key("json:/order/id", r#"{"order":{"id":"x-1"}}"#).as_deref(), Some("x-1"));
    assert_eq!(key("json:/0", "[17]").as_deref(), Some("17"));
}

#[test]
fn a_line_without_its_key_has_none() {
    assert_eq!(key("field:4", "GET /a 200"), None);
    assert_eq!(key("json:/id", r#"{"id":null}"#), None);
    assert_eq!(key("json:/id", "no JSON"), None);
    assert_eq!("field:1".parse::<KeyFrom>().unwrap().key(b"\xFF"), None);
}

#[test]
fn a_rule_that_is_none_is_refused() {
    for rule in ["", "field", "field:0", "field:x", "json", "json:id", "regex:.*"] {
        assert!(rule.parse::<KeyFrom>().is_err(), "{rule}");
    }
}
