//! What a function of a type can return without doing anything.

use syn::{GenericArgument, PathArguments, Type, TypePath};

/// A few values, as they are written; the default where nothing is known of the type, which may not build.
pub(crate) fn of(of: &Type) -> Vec<String> {
    match of {
        Type::Never(_) => Vec::new(),
        Type::Tuple(parts) if parts.elems.is_empty() => vec!["()".into()],
        Type::Tuple(parts) => {
            let parts: Vec<_> =
                parts.elems.iter().filter_map(|part| self::of(part).into_iter().next()).collect();
            vec![format!("({})", parts.join(", "))]
        }
        Type::ImplTrait(_) => vec!["std::iter::empty()".into()],
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => vec!["\"\"".into(), "\"other\"".into()],
            Type::Slice(_) => vec!["&[]".into()],
            _ => Vec::new(),
        },
        Type::Path(path) => of_path(path),
        _ => vec!["Default::default()".into()],
    }
}

fn of_path(path: &TypePath) -> Vec<String> {
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    let inner = || -> Vec<String> {
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Vec::new() };
        let first = arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::Type(of) => Some(of),
            _ => None,
        });
        first.map(of).unwrap_or_default()
    };
    let within = |name: &str| inner().into_iter().map(|value| format!("{name}({value})")).collect::<Vec<_>>();
    match last.ident.to_string().as_str() {
        "bool" => vec!["true".into(), "false".into()],
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            vec!["0".into(), "1".into()]
        }
        "String" => vec!["String::new()".into()],
        "Vec" => vec!["Vec::new()".into()],
        "Option" => {
            let mut values = vec!["None".into()];
            values.extend(within("Some"));
            values
        }
        "Result" => within("Ok"),
        "Poll" => within("std::task::Poll::Ready"),
        _ => vec!["Default::default()".into()],
    }
}
