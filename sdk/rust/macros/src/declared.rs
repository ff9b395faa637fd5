//! The types that a module declares for its tasks.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Attribute, DeriveInput, Fields, Generics, Item, ItemEnum, ItemStruct, Type, Variant};

use crate::docs;
use crate::names;
use crate::shape::Shape;
use crate::task::Task;

/// What a module declares, by name.
pub(crate) struct Declared<'a> {
    items: Vec<Declaration<'a>>,
    aliases: Vec<(&'a Ident, &'a Type)>,
    tasks: Vec<String>,
}

struct Declaration<'a> {
    name: &'a Ident,
    generics: &'a Generics,
    attributes: &'a [Attribute],
    content: Content<'a>,
}

enum Content<'a> {
    Struct(&'a ItemStruct),
    Enum(&'a ItemEnum),
}

/// A type that tasks use, ready to be written.
pub(crate) struct Body {
    pub(crate) name: Ident,
    pub(crate) kebab: String,
    pub(crate) docs: Vec<String>,
    pub(crate) form: Form,
}

pub(crate) enum Form {
    Record(Vec<Part>),
    /// A struct without names: one value, or a tuple.
    Wrapper(Vec<Shape>),
    /// Only names.
    Enum(Vec<Part>),
    Variant(Vec<Part>),
}

/// A field, or a case with what it holds.
pub(crate) struct Part {
    pub(crate) name: Ident,
    pub(crate) kebab: String,
    pub(crate) docs: Vec<String>,
    pub(crate) shapes: Vec<Shape>,
    /// Whether a case is written with parentheses.
    pub(crate) tuple: bool,
}

impl<'a> Declared<'a> {
    pub(crate) fn new(items: &'a [Item]) -> Declared<'a> {
        let mut declared = Declared { items: Vec::new(), aliases: Vec::new(), tasks: Vec::new() };
        for item in items {
            let (name, generics, attributes, content) = match item {
                Item::Struct(item) => {
                    (&item.ident, &item.generics, &item.attrs, Content::Struct(item))
                }
                Item::Enum(item) => (&item.ident, &item.generics, &item.attrs, Content::Enum(item)),
                Item::Fn(function) if Task::is_one(function) => {
                    // What is wrong with its name is told where the task is read.
                    declared.tasks.extend(names::kebab(&function.sig.ident));
                    continue;
                }
                Item::Type(alias) if alias.generics.params.is_empty() => {
                    declared.aliases.push((&alias.ident, &alias.ty));
                    continue;
                }
                _ => continue,
            };
            declared.items.push(Declaration { name, generics, attributes, content });
        }
        declared
    }

    /// What a name without parameters stands for.
    pub(crate) fn alias(&self, name: &Ident) -> Option<&'a Type> {
        self.aliases.iter().find(|(alias, _)| *alias == name).map(|(_, ty)| *ty)
    }

    /// A type's name in WIT, where it must not have that of a task.
    pub(crate) fn kebab(&self, name: &Ident) -> syn::Result<String> {
        let kebab = names::kebab(name)?;
        Ok(if self.tasks.contains(&kebab) { format!("{kebab}-value") } else { kebab })
    }

    /// Whether a type of this name is declared, and if so, whether tasks can use it.
    pub(crate) fn find(&self, name: &Ident) -> Option<syn::Result<()>> {
        let item = self.item(name)?;
        if !item.attributes.iter().any(derives_type) {
            let what = format!("`{name}` is declared without `umbel::Type`");
            let help = format!("help: put `#[derive(umbel::Type)]` in front of `{name}`");
            return Some(Err(syn::Error::new(name.span(), format!("{what}\n{help}"))));
        }
        Some(Ok(()))
    }

    /// The shapes inside a type.
    pub(crate) fn members(&self, name: &Ident) -> Vec<Shape> {
        self.item(name)
            .map(|item| types(&item.content))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|ty| Shape::of(ty, self).ok())
            .collect()
    }

    /// Everything that these shapes need, in the order of the module; or all that is wrong with it.
    pub(crate) fn needed(&self, shapes: &[&Shape]) -> Result<Vec<Body>, Vec<syn::Error>> {
        let mut errors = Vec::new();
        let mut wanted = Vec::new();
        for shape in shapes {
            self.collect(shape, &mut wanted);
        }
        // It grows while it is gone through.
        let mut next = 0;
        while let Some(name) = wanted.get(next).cloned() {
            next += 1;
            if let Some(error) = self.item(&name).and_then(parameters) {
                errors.push(error);
                continue;
            }
            for ty in self.item(&name).map(|item| types(&item.content)).unwrap_or_default() {
                match Shape::of(ty, self) {
                    Ok(shape) if self.leads_to(&shape, &name, &mut Vec::new()) => {
                        errors.push(recursive(&name, ty))
                    }
                    Ok(shape) if shape.has_unit() => errors.push(unit(ty)),
                    Ok(shape) => self.collect(&shape, &mut wanted),
                    Err(error) => errors.push(error),
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut bodies = Vec::new();
        for item in self.items.iter().filter(|item| wanted.contains(item.name)) {
            match self.body(item) {
                Ok(body) => bodies.push(body),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(bodies) } else { Err(errors) }
    }

    fn item(&self, name: &Ident) -> Option<&Declaration<'a>> {
        self.items.iter().find(|item| item.name == name)
    }

    fn collect(&self, shape: &Shape, into: &mut Vec<Ident>) {
        for name in shape.names() {
            if !into.contains(name) {
                into.push(name.clone());
            }
        }
    }

    fn leads_to(&self, shape: &Shape, target: &Ident, seen: &mut Vec<Ident>) -> bool {
        shape.names().into_iter().any(|name| {
            if name == target {
                return true;
            }
            if seen.contains(name) {
                return false;
            }
            seen.push(name.clone());
            self.members(name).iter().any(|member| self.leads_to(member, target, seen))
        })
    }

    fn body(&self, item: &Declaration<'_>) -> syn::Result<Body> {
        let form = match &item.content {
            Content::Struct(of) => self.structure(of)?,
            Content::Enum(of) => self.enumeration(of)?,
        };
        let docs = docs::of(item.attributes);
        Ok(Body { name: item.name.clone(), kebab: self.kebab(item.name)?, docs, form })
    }

    fn structure(&self, of: &ItemStruct) -> syn::Result<Form> {
        if of.fields.is_empty() {
            let what = format!("`{}` holds nothing, and nothing cannot be sent", of.ident);
            let help = "help: give it a field, or leave it out";
            return Err(syn::Error::new(of.ident.span(), format!("{what}\n{help}")));
        }
        let shapes = of.fields.iter().map(|field| Shape::of(&field.ty, self));
        if let Fields::Unnamed(_) = of.fields {
            return Ok(Form::Wrapper(shapes.collect::<Result<_, _>>()?));
        }
        let parts = of.fields.iter().map(|field| {
            let name = field.ident.clone().expect("fields of a struct with braces have names");
            let (kebab, docs) = (names::kebab(&name)?, docs::of(&field.attrs));
            Ok(Part { name, kebab, docs, shapes: vec![Shape::of(&field.ty, self)?], tuple: false })
        });
        Ok(Form::Record(parts.collect::<syn::Result<_>>()?))
    }

    fn enumeration(&self, of: &ItemEnum) -> syn::Result<Form> {
        if of.variants.is_empty() {
            let what = format!("`{}` has no case, so it has no value\nhelp: give it one", of.ident);
            return Err(syn::Error::new(of.ident.span(), what));
        }
        let parts: Vec<Part> =
            of.variants.iter().map(|case| self.case(case)).collect::<Result<_, _>>()?;
        let bare = parts.iter().all(|part| part.shapes.is_empty());
        Ok(if bare { Form::Enum(parts) } else { Form::Variant(parts) })
    }

    fn case(&self, case: &Variant) -> syn::Result<Part> {
        let name = case.ident.clone();
        if let Fields::Named(_) = case.fields {
            let what = format!("`{name}` names its fields, and cases in WIT hold one value");
            let help = format!(
                "help: declare a struct with these fields, and write `{name}(…)` around it"
            );
            return Err(syn::Error::new_spanned(&case.fields, format!("{what}\n{help}")));
        }
        let shapes: Vec<_> =
            case.fields.iter().map(|field| Shape::of(&field.ty, self)).collect::<Result<_, _>>()?;
        let tuple = matches!(case.fields, Fields::Unnamed(_));
        Ok(Part { kebab: names::kebab(&name)?, docs: docs::of(&case.attrs), shapes, tuple, name })
    }
}

impl Part {
    /// What it holds, as one shape.
    pub(crate) fn shape(&self) -> Option<Shape> {
        match self.shapes.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(Shape::Tuple(several.to_vec())),
        }
    }
}

/// Why a type with parameters has no form.
fn parameters(item: &Declaration<'_>) -> Option<syn::Error> {
    let what = format!("`{}` has parameters, and types in WIT have none", item.name);
    let help = "help: write one type for each use, or take `umbel::Json<…>`";
    let error = || syn::Error::new_spanned(item.generics, format!("{what}\n{help}"));
    (!item.generics.params.is_empty()).then(error)
}

/// The types of all fields.
fn types<'a>(content: &Content<'a>) -> Vec<&'a Type> {
    match content {
        Content::Struct(item) => item.fields.iter().map(|field| &field.ty).collect(),
        Content::Enum(item) => item
            .variants
            .iter()
            .flat_map(|case| case.fields.iter())
            .map(|field| &field.ty)
            .collect(),
    }
}

fn recursive(name: &Ident, ty: &Type) -> syn::Error {
    let what = format!("`{name}` holds itself, and types in WIT end somewhere");
    let help =
        format!("help: take `umbel::Json<{name}>`, which is any JSON, where it goes in and out");
    syn::Error::new_spanned(ty, format!("{what}\n{help}"))
}

/// `()` where WIT has no word for it.
pub(crate) fn unit(ty: &Type) -> syn::Error {
    syn::Error::new_spanned(
        ty,
        "`()` is no value that callers could send or get\nhelp: leave it out",
    )
}

fn derives_type(attribute: &Attribute) -> bool {
    let mut found = false;
    if attribute.path().is_ident("derive") {
        // What is wrong with a list of derives the compiler says.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.segments.last().is_some_and(|last| last.ident == "Type");
            Ok(())
        });
    }
    found
}

/// The code of `#[derive(umbel::Type)]`.
pub(crate) fn derive(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    if let syn::Data::Union(_) = item.data {
        let what = "a union cannot cross between worker and task\nhelp: declare an enum";
        return syn::Error::new(item.ident.span(), what).into_compile_error();
    }
    let name = &item.ident;
    let (generics, parameters, conditions) = item.generics.split_for_impl();
    quote! {
        impl #generics ::umbel::Type for #name #parameters #conditions {}
    }
}
