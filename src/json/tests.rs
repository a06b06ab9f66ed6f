//! The reader, compared with serde_json's, whose memory cannot be refused.

use super::*;
use crate::QatConfig;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Whether two values are the same, but for the last bits of floats, which serde_json rounds as it goes.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a.to_bits() == b.to_bits()
                || a.is_sign_negative() == b.is_sign_negative() && (a - b).abs() <= 1e-15 * b.abs()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((name, a), (other, b))| name == other && same(a, b))
        }
        _ => a == b,
    }
}

/// Reads a text as any value, as a value that is ignored, and as a configuration. Says whether it was one.
fn compare(text: &str) -> [bool; 3] {
    let (expected, found) = (serde_json::from_str::<Value>(text), read::<Value>(text));
    match (&expected, &found) {
        (Ok(expected), Ok(found)) => assert!(same(expected, found), "{text}: {found} is not {expected}"),
        (Err(_), Err(Error::InvalidJson(_))) => {}
        _ => panic!("{text}: {found:?} is not {expected:?}"),
    }
    let ignored = read::<IgnoredAny>(text);
    assert_eq!(ignored.is_ok(), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}: {ignored:?}");
    let (config, oracle) = (read::<QatConfig>(text), serde_json::from_str::<QatConfig>(text));
    match (&oracle, &config) {
        (Ok(oracle), Ok(config)) => {
            let both = [oracle, config].map(|config| serde_json::to_value(config).unwrap());
            assert!(same(&both[0], &both[1]), "{text}: {config:?} is not {oracle:?}");
        }
        (Err(_), Err(_)) => {}
        _ => panic!("{text}: {config:?} is not {oracle:?}"),
    }
    [found.is_ok(), ignored.is_ok(), config.is_ok()]
}

#[test]
fn texts_of_every_kind_are_read_as_serde_json_reads_them() {
    let numbers = [
        "0",
        "-0",
        "-0.0",
        "007",
        "-",
        "--1",
        "+1",
        "1.",
        ".5",
        "1.e1",
        "1e",
        "1e+",
        "1E+2",
        "1e-2",
        "0e0",
        "0x1",
        "1_0",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "1e308",
        "1e309",
        "-1e400",
        "1e-400",
        "0.1",
        "123456789.125",
        "NaN",
        "Infinity",
    ];
    let strings = [
        r#""""#,
        r#""a""#,
        r#""\n\t\"\\\/\b\f\r""#,
        r#""\u0000""#,
        r#""é\u00e9""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
        r#""\u12g4""#,
        r#""\x""#,
        r#""\"#,
        r#"""#,
        "\"a\nb\"",
        "\"\u{7f}\"",
        r#""\u""#,
        "'a'",
    ];
    let others = [
        "",
        " ",
        "null",
        "nul",
        "nulls",
        "true",
        "tru",
        "false",
        "True",
        "[]",
        "[ ]",
        "[1]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2",
        "[",
        "]",
        "{}",
        "{ }",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{\"a\":1,\"b\":[{},[]]}",
        "{\"a\"}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":}",
        "{\"a\":1]",
        "[1}",
        "[[[]]",
        "[[]]]",
        "{}{}",
        "1 1",
        "\u{feff}1",
        "// 1",
        "\u{a0}1",
        "\t\n\r 1 \t\n\r",
        "\u{b}1",
        "{\"a\":1,\"a\":2}",
        "{\"\\u0061\":1}",
        "{\"\\ud800\":1}",
        "[{\"a\":[{\"b\":[1,{}]}]},2]",
    ];
    let mut accepted = 0;
    for text in numbers.iter().chain(&strings).chain(&others) {
        for text in [(*text).to_owned(), format!("[{text}]"), format!("{{\"a\":[0,{text},{{}}]}}"), format!(" {text} ")]
        {
            accepted += usize::from(compare(&text)[0]);
        }
    }
    assert!(accepted > 100, "{accepted}");
}

/// A variant without fields has no content, or null; one with fields has them behind its name and a colon.
#[test]
fn variants_are_read_with_the_content_that_they_have() {
    let variants = [
        (r#""Standard""#, true),
        (r#"{"Standard":null}"#, true),
        (r#"{"Standard":0}"#, false),
        (r#"{"Standard"}"#, false),
        (r#"{"Standard":null,"Lsq":null}"#, false),
        (r#"{"Ewgs":{"lambda":0}}"#, true),
        (r#"{"Ewgs":[0]}"#, true),
        (r#""Ewgs""#, false),
        (r#""Ewgs"{"lambda":0}"#, false),
        (r#""Ewgs":{"lambda":0}"#, false),
        (r#"{"Ewgs"{"lambda":0}}"#, false),
        (r#"{"Ewgs":null}"#, false),
        (r#"{:{"lambda":0}}"#, false),
        ("{}", false),
        ("[]", false),
        ("null", false),
    ];
    let config = serde_json::to_string(&QatConfig::default()).unwrap();
    assert!(config.contains(r#":"Standard","#));
    for (variant, is_right) in variants {
        let text = config.replace(r#":"Standard","#, &format!(":{variant},"));
        assert_eq!(compare(&text)[2], is_right, "{variant}");
    }
}

/// Random edits of texts that are right: bytes and pieces taken out, put in, doubled and exchanged.
#[test]
fn edited_texts_are_read_as_serde_json_reads_them() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let whole = [
        serde_json::to_string(&QatConfig::default()).unwrap(),
        serde_json::to_string_pretty(&QatConfig::piq2()).unwrap(),
        // The fields in their order: serde's form of a struct is an array, too.
        r#"[4,{"Clipped":{"clip_val":1e39}},{"PerBlock":[64]},[1,0.5,-0,3],3,1e-4,4,false,true,1,null,0.1,true,true]"#
            .into(),
        r#"{"ste_variant":{"Standard":null},"other":[[],[{"a":{"b":"\u0041\\"}}],{}],"bits":4}"#.into(),
    ];
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\\",
        "\\u00e9",
        "null",
        "true",
        "-",
        "0",
        "1",
        ".",
        "e",
        "9999999999",
        " ",
        "\n",
        "\"bits\":4",
        "{\"Standard\":null}",
        "\"a\":[{}],",
        "é",
        "\u{1}",
        "\"Standard\"",
        "{\"Ewgs\":{\"lambda\":0}}",
    ];
    let mut accepted = [0; 3];
    for _ in 0..60_000 {
        let mut text = whole[random(whole.len())].clone();
        for _ in 0..1 + random(2) {
            let mut place = |from: usize, to: usize| loop {
                let at = from + random(to + 1 - from);
                if text.is_char_boundary(at) {
                    return at;
                }
            };
            let a = place(0, text.len());
            let b = place(a, text.len().min(a + 60));
            match random(4) {
                0 => text.insert_str(a, pieces[random(pieces.len())]),
                1 => text.replace_range(a..b, ""),
                2 => text.replace_range(a..b, pieces[random(pieces.len())]),
                _ => {
                    let piece = text[a..b].to_owned();
                    text.insert_str(a, &piece);
                }
            }
            if text.is_empty() {
                text.push('0');
            }
        }
        for (count, was) in accepted.iter_mut().zip(compare(&text)) {
            *count += usize::from(was);
        }
    }
    // Of both kinds there are many.
    assert!(accepted.iter().all(|count| (1_000..50_000).contains(count)), "{accepted:?}");
}

#[test]
fn a_refusal_says_where_it_is() {
    let refusal = read::<QatConfig>("{\"bits\":4,\n \"pi_k\":?}").unwrap_err().to_string();
    assert!(refusal.contains("line 2 column 9"), "{refusal}");
    let refusal = read::<QatConfig>("").unwrap_err().to_string();
    assert!(refusal.contains("line 1 column 1"), "{refusal}");
}

#[test]
fn brackets_of_any_depth_are_skipped() {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read::<IgnoredAny>(&deep(1_000_000)).is_ok());
    assert!(read::<IgnoredAny>(&deep(1_000_000)[1..]).is_err());
    let objects = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
    assert!(read::<IgnoredAny>(&objects).is_ok() && read::<IgnoredAny>(&objects.replace("1}", "1]")).is_err());
}

#[test]
fn a_raw_value_is_its_text() {
    for text in ["1.50", "[1, 2]", "{\"a\" : [ ]}", "\"\\u0041\"", "null"] {
        let list = format!("[0, {text} ,1]");
        let (_, raw, _): (u8, Raw<'_>, u8) = read(&list).unwrap();
        assert_eq!(raw.text(), text);
    }
}

#[test]
fn the_start_of_a_string_is_cut_at_a_character() {
    for (text, start) in [("", ""), ("name", "name"), (&"a".repeat(40), &"a".repeat(40)[..])] {
        assert_eq!((Start::of(text).as_str(), Start::of(text).whole()), (start, Some(text)));
    }
    let long = format!("{}é", "a".repeat(39));
    assert_eq!((Start::of(&long).as_str(), Start::of(&long).whole()), (&long[..39], None));
}
