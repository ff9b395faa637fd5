//! Several core modules made one: each import that another one of them exports becomes what it stands for.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Encode, EntityType,
    ExportKind, ExportSection, FunctionSection, GlobalSection, ImportSection, MemorySection,
    Module, NameMap, NameSection, TableSection, TypeSection,
};
use wasm_reader::{BinaryReader, ExternalKind, Operator, OperatorsReader, TypeRef};

use super::graph::{Unusual, space};
use super::part::Part;

/// Where an import comes from: out of one of the modules, or from outside them, by a number of the caller's.
pub(super) enum Origin<'a> {
    Part(usize, &'a str),
    Outside(usize),
}

/// What came of it.
pub(super) struct Linked {
    pub(super) module: Module,
    /// What it imports, by the caller's numbers, in the order of its imports `"" "0"`, `"" "1"` ….
    pub(super) imports: Vec<usize>,
}

/// The indices that one module's own have in the whole.
#[derive(Default)]
struct Numbers {
    types: u32,
    /// Of each space: functions, tables, memories, globals.
    spaces: [Vec<u32>; 4],
    elements: u32,
    data: u32,
}

/// Links modules in the order of their instantiation; the exports that are asked for are called `0`, `1` ….
pub(super) fn link<'a>(
    parts: &'a [Part<'a>],
    origin: impl Fn(usize, &'a str, &'a str) -> Option<Origin<'a>>,
    exports: &[(usize, &str)],
) -> Result<Linked> {
    let origins = origins(parts, origin)?;
    let imports = Imports::of(parts, &origins)?;
    let numbers = number(parts, &origins, &imports)?;
    let mut whole = Whole::default();
    for (source, (part, ty)) in imports.types.iter().enumerate() {
        let ty = numbers[*part].types + ty;
        whole.imports.import("", &source.to_string(), EntityType::Function(ty));
    }
    for (part, numbers) in parts.iter().zip(&numbers) {
        whole.add(part, numbers)?;
    }
    for (number, &(part, name)) in exports.iter().enumerate() {
        let (kind, index) = exported(parts, &numbers, part, name)?;
        whole.exports.export(&number.to_string(), ExportKind::from(kind), index);
    }
    Ok(Linked { module: whole.finish(), imports: imports.sources })
}

/// The origins of each part's imports.
type Origins<'a> = Vec<Vec<Origin<'a>>>;

fn origins<'a>(
    parts: &'a [Part<'a>],
    origin: impl Fn(usize, &'a str, &'a str) -> Option<Origin<'a>>,
) -> Result<Origins<'a>> {
    let of = |(number, part): (usize, &'a Part<'a>)| {
        let imports = part.imports.iter();
        imports
            .map(|import| {
                origin(number, import.module, import.name)
                    .with_context(|| format!("nothing gives `{}` `{}`", import.module, import.name))
            })
            .collect()
    };
    parts.iter().enumerate().map(of).collect()
}

/// What the whole imports: each source once.
#[derive(Default)]
struct Imports {
    sources: Vec<usize>,
    /// The module that asked first, and the type there.
    types: Vec<(usize, u32)>,
    indices: HashMap<usize, u32>,
}

impl Imports {
    fn of(parts: &[Part<'_>], origins: &Origins<'_>) -> Result<Self> {
        let mut all = Self::default();
        for (number, (part, origins)) in parts.iter().zip(origins).enumerate() {
            for (import, origin) in part.imports.iter().zip(origins) {
                let Origin::Outside(source) = *origin else { continue };
                let TypeRef::Func(ty) = import.ty else {
                    bail!(Unusual("it imports what is no function"));
                };
                let next = u32::try_from(all.sources.len())?;
                all.indices.entry(source).or_insert_with(|| {
                    all.sources.push(source);
                    all.types.push((number, ty));
                    next
                });
            }
        }
        Ok(all)
    }
}

fn number(parts: &[Part<'_>], origins: &Origins<'_>, imports: &Imports) -> Result<Vec<Numbers>> {
    let mut all: Vec<Numbers> = Vec::new();
    let mut next =
        Next { spaces: [u32::try_from(imports.sources.len())?, 0, 0, 0], ..Next::default() };
    for (part, origins) in parts.iter().zip(origins) {
        let mut numbers = Numbers {
            types: next.types,
            elements: next.elements,
            data: next.data,
            ..Numbers::default()
        };
        for origin in origins {
            let (kind, index) = match *origin {
                Origin::Part(part, name) => exported(parts, &all, part, name)?,
                Origin::Outside(source) => (ExternalKind::Func, imports.indices[&source]),
            };
            numbers.spaces[space(kind)? as usize].push(index);
        }
        let counts = part.counts();
        for ((own, next), count) in numbers.spaces.iter_mut().zip(&mut next.spaces).zip(counts) {
            own.extend(*next..*next + count);
            *next += count;
        }
        next.types += part.type_count;
        next.elements += part.elements.as_ref().map_or(0, |section| section.count());
        next.data += part.data.as_ref().map_or(0, |section| section.count());
        all.push(numbers);
    }
    Ok(all)
}

/// The first indices that are free.
#[derive(Default)]
struct Next {
    types: u32,
    spaces: [u32; 4],
    elements: u32,
    data: u32,
}

/// The kind and the index in the whole of what a part exports.
fn exported(
    parts: &[Part<'_>],
    numbers: &[Numbers],
    part: usize,
    name: &str,
) -> Result<(ExternalKind, u32)> {
    let (kind, index) = *parts[part].exports.get(name).with_context(|| format!("no `{name}`"))?;
    let own = numbers.get(part).context("a module imports from one that comes later")?;
    let index = own.spaces[space(kind)? as usize].get(index as usize);
    Ok((kind, *index.with_context(|| format!("`{name}` is out of range"))?))
}

/// The sections of the whole.
#[derive(Default)]
struct Whole {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
    /// The values of globals that never change.
    constants: Vec<Option<i32>>,
    names: BTreeMap<u32, String>,
}

impl Whole {
    fn add(&mut self, part: &Part<'_>, numbers: &Numbers) -> Result<()> {
        let mut renumber = Renumber { numbers, constants: &self.constants };
        if let Some(types) = part.types.clone() {
            renumber.parse_type_section(&mut self.types, types)?;
        }
        for ty in &part.functions {
            self.functions.function(numbers.types + ty);
        }
        if let Some(tables) = part.tables.clone() {
            renumber.parse_table_section(&mut self.tables, tables)?;
        }
        if let Some(memories) = part.memories.clone() {
            renumber.parse_memory_section(&mut self.memories, memories)?;
        }
        for global in part.globals.clone().into_iter().flatten() {
            let global = global?;
            let mut renumber = Renumber { numbers, constants: &self.constants };
            let ty = renumber.global_type(global.ty)?;
            let begins = renumber.const_expr(global.init_expr)?;
            self.globals.global(ty, &begins);
            self.constants.push(value(&begins).filter(|_| !ty.mutable));
        }
        let mut renumber = Renumber { numbers, constants: &self.constants };
        if let Some(elements) = part.elements.clone() {
            renumber.parse_element_section(&mut self.elements, elements)?;
        }
        for body in &part.code {
            renumber.parse_function_body(&mut self.code, body.clone())?;
        }
        if let Some(data) = part.data.clone() {
            renumber.parse_data_section(&mut self.data, data)?;
        }
        // Imported functions are called what their own module calls them.
        let own =
            part.imports.iter().filter(|import| matches!(import.ty, TypeRef::Func(_))).count();
        for &(index, name) in part.names.iter().filter(|(index, _)| *index as usize >= own) {
            if let Some(&index) = numbers.spaces[0].get(index as usize) {
                self.names.insert(index, name.to_owned());
            }
        }
        Ok(())
    }

    fn finish(self) -> Module {
        let mut names = NameMap::new();
        for (index, name) in &self.names {
            names.append(*index, name);
        }
        let mut called = NameSection::new();
        called.functions(&names);
        let mut module = Module::new();
        module
            .section(&self.types)
            .section(&self.imports)
            .section(&self.functions)
            .section(&self.tables)
            .section(&self.memories)
            .section(&self.globals)
            .section(&self.exports)
            .section(&self.elements)
            .section(&DataCountSection { count: self.data.len() })
            .section(&self.code)
            .section(&self.data)
            .section(&called);
        module
    }
}

/// Encodes a part's content with the indices of the whole.
struct Renumber<'n> {
    numbers: &'n Numbers,
    constants: &'n [Option<i32>],
}

type Renumbered<T = u32> = Result<T, Error<Unusual>>;

impl Renumber<'_> {
    fn number(&self, space: usize, index: u32) -> Renumbered {
        let found = self.numbers.spaces[space].get(index as usize).copied();
        found.ok_or(Error::UserError(Unusual("an index is out of range")))
    }
}

impl Reencode for Renumber<'_> {
    type Error = Unusual;

    fn type_index(&mut self, index: u32) -> Renumbered {
        Ok(self.numbers.types + index)
    }

    fn function_index(&mut self, index: u32) -> Renumbered {
        self.number(0, index)
    }

    fn table_index(&mut self, index: u32) -> Renumbered {
        self.number(1, index)
    }

    fn memory_index(&mut self, index: u32) -> Renumbered {
        self.number(2, index)
    }

    fn global_index(&mut self, index: u32) -> Renumbered {
        self.number(3, index)
    }

    fn element_index(&mut self, index: u32) -> Renumbered {
        Ok(self.numbers.elements + index)
    }

    fn data_index(&mut self, index: u32) -> Renumbered {
        Ok(self.numbers.data + index)
    }

    /// With values in the place of globals: the compiler lays out memories and tables beforehand
    /// if it knows where everything goes.
    fn const_expr(&mut self, expression: wasm_reader::ConstExpr<'_>) -> Renumbered<ConstExpr> {
        let mut operators = expression.get_operators_reader();
        let mut stack: Vec<i32> = Vec::new();
        let mut named = false;
        while !operators.is_end_then_eof() {
            let operator = operators.read()?;
            named |= matches!(operator, Operator::GlobalGet { .. });
            if self.compute(&mut stack, &operator).is_none() {
                return match named {
                    true => Err(Error::UserError(Unusual("a constant cannot be computed"))),
                    false => utils::const_expr(self, expression),
                };
            }
        }
        match stack.as_slice() {
            [value] => Ok(ConstExpr::i32_const(*value)),
            _ => Err(Error::UserError(Unusual("a constant is none"))),
        }
    }
}

impl Renumber<'_> {
    /// One step of a constant; `None`: it is not one of 32 bits, or it is not known.
    fn compute(&self, stack: &mut Vec<i32>, operator: &Operator<'_>) -> Option<()> {
        let value = match *operator {
            Operator::I32Const { value } => value,
            Operator::GlobalGet { global_index } => {
                let global = self.number(3, global_index).ok()?;
                (*self.constants.get(global as usize)?)?
            }
            Operator::I32Add => stack.pop()?.wrapping_add(stack.pop()?),
            Operator::I32Sub => {
                let less = stack.pop()?;
                stack.pop()?.wrapping_sub(less)
            }
            Operator::I32Mul => stack.pop()?.wrapping_mul(stack.pop()?),
            _ => return None,
        };
        stack.push(value);
        Some(())
    }
}

/// The value of a constant of 32 bits.
fn value(constant: &ConstExpr) -> Option<i32> {
    let mut bytes = Vec::new();
    constant.encode(&mut bytes);
    let mut operators = OperatorsReader::new(BinaryReader::new(&bytes, 0));
    match operators.read() {
        Ok(Operator::I32Const { value }) if operators.is_end_then_eof() => Some(value),
        _ => None,
    }
}
