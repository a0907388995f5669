//! Tokens to an expression.
//!
//! The grammar is libpcap's. `and` and `or` bind equally, from the left. An operand that is only an address, a name or a
//! number takes over the qualifiers of the operand before it: `host a or b`, `tcp port 80 or 443`. In parentheses it
//! takes over those before the parenthesis, and behind the closing one they hold again.

mod arithmetic;
mod operand;
mod primitive;
mod set;
mod tuple;

pub(crate) use set::element;

use crate::problem::{Problem, Span};

use super::Filter;
use super::ast::{Arithmetic, Direction, Expr, Place, Primitive, Protocol};
use super::scan::{self, Kind, Token};

/// How deep parentheses, `not` and `-` may be nested.
const DEEPEST: usize = 200;
/// How often `and` and `or`, or arithmetic operators, may follow each other without parentheses and nest thereby.
const LONGEST: usize = 500;

/// Parses `text[span]`; the spans in problems are offsets into the whole `text`.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(text: &str, span: Span) -> Result<Filter, Problem> {
    let tokens = scan::scan(text, span)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, nested: 0 };
    if parser.peek() == &Kind::End {
        return Ok(Filter { root: None });
    }
    let first = parser.span();
    let (operand, qualifier) = parser.operand(None)?;
    let Operand::Term(first) = operand else { return Err(unqualified(first)) };
    let (root, _) = parser.chain(first, false, qualifier)?;
    if parser.peek() != &Kind::End {
        return Err(parser.unexpected("expected and, or, or the end"));
    }
    Ok(Filter { root: Some(root) })
}

/// What stands before an address, a name or a number and says what it is.
#[derive(Clone, Copy, Debug, Default)]
struct Qualifier {
    protocol: Option<Protocol>,
    direction: Option<Direction>,
    kind: Subject,
}

/// What an address, a name or a number is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Subject {
    /// Nothing is said: a host.
    #[default]
    Unsaid,
    Host,
    Net,
    Port,
    Portrange,
    Proto,
    Protochain,
}

/// What stands between `and` and `or`.
enum Operand {
    /// A test that needs no qualifier.
    Term(Expr),
    /// An address or a name with the qualifiers of its predecessor.
    Id(Expr),
    /// Several of those in parentheses.
    Group(Expr),
    /// A number: one of those, or the beginning of arithmetic.
    Number(u32, Span),
    /// Arithmetic that is compared with nothing yet.
    Arithmetic(Arithmetic, Span),
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    nested: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Kind {
        self.ahead(0)
    }

    fn ahead(&self, tokens: usize) -> &Kind {
        self.tokens.get(self.at + tokens).map_or(&Kind::End, |token| &token.kind)
    }

    /// Where the next token stands.
    fn span(&self) -> Span {
        let end = self.tokens.last().map_or(0..0, |token| token.span.clone());
        self.tokens.get(self.at).map_or(end, |token| token.span.clone())
    }

    /// From `start` to the end of the token before the next.
    fn since(&self, start: usize) -> Span {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        start..before.map_or(start, |token| token.span.end).max(start)
    }

    fn next(&mut self) -> Kind {
        let kind = self.peek().clone();
        self.at += 1;
        kind
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Kind::Symbol(next) if *next == symbol);
        self.at += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.word() == Some(word);
        self.at += usize::from(found);
        found
    }

    /// The next token, where it is a word of the language.
    fn word(&self) -> Option<&'static str> {
        match self.peek() {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), Problem> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected(format!("expected {symbol}"))) }
    }

    fn unexpected(&self, hint: impl Into<String>) -> Problem {
        let span = self.span();
        let what = match self.peek() {
            Kind::End => "the expression ends too early".to_string(),
            _ => format!("{} does not belong here", self.text.get(span.clone()).unwrap_or_default()),
        };
        Problem::new(span, what).hint(hint)
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Problem>) -> Result<T, Problem> {
        if self.depth == DEEPEST {
            return Err(Problem::new(self.span(), format!("nested more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Counts what nests without parentheses.
    fn nest(&mut self) -> Result<(), Problem> {
        self.nested += 1;
        if self.nested > LONGEST {
            let what =
                format!("and and or take turns more than {LONGEST} times, or so many operators follow each other");
            return Err(Problem::new(self.span(), what).hint("parentheses around those that belong together mend it"));
        }
        Ok(())
    }

    /// What follows `first`; only such that take over qualifiers, where `ids_only`.
    fn chain(
        &mut self,
        first: Expr,
        ids_only: bool,
        qualifier: Option<Qualifier>,
    ) -> Result<(Expr, Option<Qualifier>), Problem> {
        let (mut left, mut qualifier) = (first, qualifier);
        let mut last = None;
        while let Some(word @ ("and" | "or")) = self.word() {
            self.at += 1;
            if last.is_some_and(|last| last != word) {
                self.nest()?;
            }
            last = Some(word);
            let span = self.span();
            let (operand, new) = self.operand(qualifier)?;
            let right = match operand {
                Operand::Term(_) if ids_only => {
                    return Err(Problem::new(span, "only an address, a name or a number may follow here")
                        .hint("the parentheses hold a list that takes over the qualifiers before them"));
                }
                Operand::Term(expr) => {
                    qualifier = new;
                    expr
                }
                other => self.id(other, qualifier)?,
            };
            left = join(left, word == "and", right);
        }
        Ok((left, qualifier))
    }

    /// An operand that takes over qualifiers, as an expression.
    fn id(&self, operand: Operand, qualifier: Option<Qualifier>) -> Result<Expr, Problem> {
        match operand {
            Operand::Term(expr) | Operand::Id(expr) | Operand::Group(expr) => Ok(expr),
            Operand::Number(number, span) => {
                let primitive = operand::number(number, qualifier, span.clone())?;
                Ok(Expr::Primitive(primitive, Place(span)))
            }
            Operand::Arithmetic(_, span) => {
                Err(Problem::new(span, "this number is compared with nothing")
                    .hint("expected = != < > <= or >= behind it"))
            }
        }
    }

    /// An operand of `and` and `or`, and the qualifiers that hold behind it.
    fn operand(&mut self, qualifier: Option<Qualifier>) -> Result<(Operand, Option<Qualifier>), Problem> {
        self.deeper(|parser| match parser.peek() {
            Kind::Symbol("!") => {
                parser.at += 1;
                let (inner, new) = parser.operand(qualifier)?;
                if let Operand::Term(expr) = inner {
                    return Ok((Operand::Term(Expr::Not(Box::new(expr))), new));
                }
                let inner = parser.id(inner, qualifier)?;
                Ok((Operand::Id(Expr::Not(Box::new(inner))), qualifier))
            }
            Kind::Symbol("(") => {
                let operand = parser.parenthesis(qualifier)?;
                match operand {
                    Operand::Number(..) | Operand::Arithmetic(..) => parser.relation(operand, qualifier),
                    other => Ok((other, qualifier)),
                }
            }
            Kind::Number(_) | Kind::Word("len") | Kind::Symbol("-") => parser.arithmetic_operand(qualifier),
            Kind::Word(word) if Protocol::from_word(word).is_some() && parser.ahead(1) == &Kind::Symbol("[") => {
                parser.arithmetic_operand(qualifier)
            }
            Kind::Word(word) => {
                let word = *word;
                parser.term(word)
            }
            Kind::Dotted(_) | Kind::V6(_) | Kind::Mac(_) | Kind::Name(_) => {
                if let Some(primitive) = parser.own_primitive()? {
                    return Ok((Operand::Term(primitive), None));
                }
                let id = parser.named_operand(qualifier)?;
                Ok((Operand::Id(id), qualifier))
            }
            Kind::Symbol(_) | Kind::Text(_) | Kind::Braces(_) | Kind::End => {
                Err(parser.unexpected("expected a test: tcp, src host 192.0.2.1, port 80, …"))
            }
        })
    }

    /// `( … )`
    fn parenthesis(&mut self, qualifier: Option<Qualifier>) -> Result<Operand, Problem> {
        let open = self.span();
        self.at += 1;
        let inside = self.span();
        let (first, new) = self.operand(qualifier)?;
        let (first, ids_only) = match first {
            Operand::Group(_) => {
                return Err(Problem::new(inside, "a list in parentheses begins with another one")
                    .hint("one pair of parentheses is enough"));
            }
            Operand::Number(number, _) if self.accept_symbol(")") => {
                return Ok(Operand::Number(number, self.since(open.start)));
            }
            Operand::Arithmetic(arithmetic, _) => {
                self.expect_symbol(")")?;
                return Ok(Operand::Arithmetic(arithmetic, self.since(open.start)));
            }
            Operand::Term(expr) => (expr, false),
            other => (self.id(other, qualifier)?, true),
        };
        let (expr, _) = self.chain(first, ids_only, new)?;
        if !self.accept_symbol(")") {
            let problem = self.unexpected("expected and, or, or )");
            return Err(match self.peek() {
                Kind::End => Problem::new(open, "this parenthesis is not closed").hint("expected ) at its end"),
                _ => problem,
            });
        }
        Ok(if ids_only { Operand::Group(expr) } else { Operand::Term(expr) })
    }
}

/// Adds an operand to a chain.
fn join(left: Expr, and: bool, right: Expr) -> Expr {
    let flat = |expr: Expr| match expr {
        Expr::And(parts) if and => parts,
        Expr::Or(parts) if !and => parts,
        other => vec![other],
    };
    let mut parts = flat(left);
    parts.extend(flat(right));
    if and { Expr::And(parts) } else { Expr::Or(parts) }
}

fn primitive(primitive: Primitive, span: Span) -> Expr {
    Expr::Primitive(primitive, Place(span))
}

fn unqualified(span: Span) -> Problem {
    Problem::new(span, "nothing says what this is").hint("expected a word before it: host, net, port, proto, …")
}
