//! Code that turns what the bindings have into what the author's functions take, and back. All of it
//! stands in functions that return an `umbel::Error`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use crate::declared::{Body, Form, Part};
use crate::names;
use crate::shape::{Json, Shape};

/// From the bindings' value to the author's; `place` is what an error calls it.
pub(crate) fn lift(shape: &Shape, value: TokenStream, place: &str) -> TokenStream {
    if same(shape) {
        return value;
    }
    match shape {
        Shape::Plain(..) | Shape::Text => value,
        Shape::Json(Json::Value) => {
            quote!(::umbel::exports::read::<::umbel::Value>(#place, &#value)?)
        }
        Shape::Json(Json::Wrapped(ty)) => {
            quote!(::umbel::Json(::umbel::exports::read::<#ty>(#place, &#value)?))
        }
        Shape::Named(name, _) => {
            let function = lift_name(name);
            quote!(#function(#value)?)
        }
        shape => inside(shape, value, &|shape, value| lift(shape, value, place)),
    }
}

/// From the author's value to the bindings'.
pub(crate) fn lower(shape: &Shape, value: TokenStream) -> TokenStream {
    if same(shape) {
        return value;
    }
    match shape {
        Shape::Plain(..) | Shape::Text => value,
        Shape::Json(Json::Value) => quote!(::umbel::exports::write(#value)?),
        Shape::Json(Json::Wrapped(_)) => quote!(::umbel::exports::write(#value.0)?),
        Shape::Named(name, _) => {
            let function = lower_name(name);
            quote!(#function(#value)?)
        }
        shape => inside(shape, value, &lower),
    }
}

/// Whether both sides have the very same type.
fn same(shape: &Shape) -> bool {
    match shape {
        Shape::Plain(..) | Shape::Text => true,
        Shape::Json(_) | Shape::Named(..) => false,
        Shape::List(inner) | Shape::Option(inner) => same(inner),
        Shape::Tuple(members) => members.iter().all(same),
        Shape::Result(ok, err) => same(ok) && same(err),
    }
}

type Change<'a> = &'a dyn Fn(&Shape, TokenStream) -> TokenStream;

/// Goes into what holds other values.
fn inside(shape: &Shape, value: TokenStream, change: Change) -> TokenStream {
    match shape {
        Shape::List(inner) => {
            let inner = change(inner, quote!(member));
            quote! {
                #value
                    .into_iter()
                    .map(|member| ::core::result::Result::<_, ::umbel::Error>::Ok(#inner))
                    .collect::<::core::result::Result<::std::vec::Vec<_>, _>>()?
            }
        }
        Shape::Option(inner) => {
            let inner = change(inner, quote!(some));
            quote! {
                match #value {
                    ::core::option::Option::Some(some) => ::core::option::Option::Some(#inner),
                    ::core::option::Option::None => ::core::option::Option::None,
                }
            }
        }
        Shape::Tuple(members) => {
            let names: Vec<_> = (0..members.len()).map(|index| format_ident!("m{index}")).collect();
            let values =
                members.iter().zip(&names).map(|(member, name)| change(member, quote!(#name)));
            quote!({
                let (#(#names,)*) = #value;
                (#(#values,)*)
            })
        }
        Shape::Result(ok, err) => {
            let (ok, err) = (change(ok, quote!(ok)), change(err, quote!(err)));
            quote! {
                match #value {
                    ::core::result::Result::Ok(ok) => ::core::result::Result::Ok(#ok),
                    ::core::result::Result::Err(err) => ::core::result::Result::Err(#err),
                }
            }
        }
        _ => value,
    }
}

fn lift_name(name: &Ident) -> Ident {
    format_ident!("umbel_lift_{name}")
}

fn lower_name(name: &Ident) -> Ident {
    format_ident!("umbel_lower_{name}")
}

/// The functions that convert a declared type, called by the code above.
pub(crate) fn functions(body: &Body, types: &TokenStream) -> TokenStream {
    let Body { name, kebab, .. } = body;
    let (lift_name, lower_name) = (lift_name(name), lower_name(name));
    let ours = quote!(super::#name);
    let shape = match &body.form {
        // A wrapper is another name for what it holds.
        Form::Wrapper(shapes) => wrapped(shapes).wire(types),
        _ => {
            let camel = names::camel(kebab);
            quote!(#types::#camel)
        }
    };
    let lifted = match &body.form {
        Form::Record(parts) => record(parts, &ours, &lift_part, true),
        Form::Wrapper(shapes) => {
            let lifted = lift(&wrapped(shapes), quote!(value), kebab);
            let names: Vec<_> = (0..shapes.len()).map(|index| format_ident!("w{index}")).collect();
            match shapes.len() {
                1 => quote!(#ours(#lifted)),
                _ => quote!({ let (#(#names,)*) = #lifted; #ours(#(#names,)*) }),
            }
        }
        Form::Enum(parts) | Form::Variant(parts) => cases(parts, &shape, &ours, true),
    };
    let lowered = match &body.form {
        Form::Record(parts) => {
            record(parts, &shape, &|part, value| lower(&part.shapes[0], value), false)
        }
        Form::Wrapper(shapes) => {
            let names: Vec<_> = (0..shapes.len()).map(|index| format_ident!("w{index}")).collect();
            let value =
                if let [name] = names.as_slice() { quote!(#name) } else { quote!((#(#names,)*)) };
            let lowered = lower(&wrapped(shapes), value);
            quote!({ let #ours(#(#names,)*) = value; #lowered })
        }
        Form::Enum(parts) | Form::Variant(parts) => cases(parts, &ours, &shape, false),
    };
    quote! {
        fn #lift_name(value: #shape) -> ::core::result::Result<#ours, ::umbel::Error> {
            ::core::result::Result::Ok(#lifted)
        }
        fn #lower_name(value: #ours) -> ::core::result::Result<#shape, ::umbel::Error> {
            ::core::result::Result::Ok(#lowered)
        }
    }
}

fn lift_part(part: &Part, value: TokenStream) -> TokenStream {
    lift(&part.shapes[0], value, &names::snake(&part.kebab).to_string())
}

fn wrapped(shapes: &[Shape]) -> Shape {
    match shapes {
        [one] => one.clone(),
        several => Shape::Tuple(several.to_vec()),
    }
}

/// A struct literal of one side, made of the fields of the other.
fn record(
    parts: &[Part],
    into: &TokenStream,
    change: &dyn Fn(&Part, TokenStream) -> TokenStream,
    lift: bool,
) -> TokenStream {
    let fields = parts.iter().map(|part| {
        let (ours, theirs) = (&part.name, names::snake(&part.kebab));
        if lift {
            let value = change(part, quote!(value.#theirs));
            quote!(#ours: #value)
        } else {
            let value = change(part, quote!(value.#ours));
            quote!(#theirs: #value)
        }
    });
    quote!(#into { #(#fields,)* })
}

/// A match over the cases of one side that gives those of the other.
fn cases(parts: &[Part], from: &TokenStream, into: &TokenStream, lifts: bool) -> TokenStream {
    let arms = parts.iter().map(|part| {
        let (ours, theirs) = (&part.name, names::camel(&part.kebab));
        let Some(shape) = part.shape() else {
            let ours = if part.tuple { quote!(#ours()) } else { quote!(#ours) };
            return if lifts { quote!(#from::#theirs => #into::#ours) } else { quote!(#from::#ours => #into::#theirs) };
        };
        let several: Vec<_> = (0..part.shapes.len()).map(|index| format_ident!("c{index}")).collect();
        let one = several.len() == 1;
        match (lifts, one) {
            (true, true) => {
                let value = lift(&shape, quote!(case), &part.name.to_string());
                quote!(#from::#theirs(case) => #into::#ours(#value))
            }
            (true, false) => {
                let value = lift(&shape, quote!(case), &part.name.to_string());
                quote!(#from::#theirs(case) => { let (#(#several,)*) = #value; #into::#ours(#(#several,)*) })
            }
            (false, true) => {
                let value = lower(&shape, quote!(case));
                quote!(#from::#ours(case) => #into::#theirs(#value))
            }
            (false, false) => {
                let value = lower(&shape, quote!((#(#several,)*)));
                quote!(#from::#ours(#(#several,)*) => #into::#theirs(#value))
            }
        }
    });
    quote!(match value { #(#arms,)* })
}
