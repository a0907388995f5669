//! `route` to many pools: which one is meant is read from a table of rules. To compare the rule's number with each pool's
//! would take ten branches for a thousand pools, which no branch predictor knows.

use super::super::{Emitter, stack};
use super::DROP;
use crate::asm::build::{Alu, If, Size};
use crate::object::{DataId, FunctionId};
use crate::policy::{Action, Verdict};

/// With so many pools their rules are compared.
const FEW: usize = 4;
/// Bytes of a row: what the pool says as at [`super::frame::TERMS`], and its rings as at [`super::frame::RINGS`].
const ROW: usize = 16;

impl Emitter<'_> {
    /// Whether there are so many pools that a table is faster.
    pub(super) fn tells_pools_by_rule(&self) -> bool {
        self.routes.len() > FEW
    }

    /// The verdict that is given in the place of this one: of the pools that a function routes to, the first one stands
    /// for all where the table tells them apart.
    pub(in super::super) fn alike(&self, verdict: &Verdict) -> Verdict {
        let function = |pool: usize| self.routes.get(pool).map(|route| route.function);
        let pools = &self.rules.pools;
        let first = match verdict {
            Verdict::Route(name) if self.tells_pools_by_rule() => {
                let own = self.rules.pool(name);
                own.and_then(|own| (0..pools.len()).find(|other| function(*other) == function(own)))
            }
            _ => None,
        };
        first.map_or_else(|| verdict.clone(), |first| Verdict::Route(pools[first].name.clone()))
    }

    /// Ends the program: the packet goes where the rule says that decided.
    pub(super) fn route_by_rule(&mut self, function: FunctionId) {
        let (offset, unknown) = (self.pools_by_rule(), self.asm.label());
        if self.maps.rules.is_some() {
            // The counters were the last that needed it.
            self.asm.load(Size::DW, 9, 10, stack::VALUE);
        }
        self.asm.jump_imm(If::Gt, 9, self.rules.rules.len() as i32, unknown);
        self.asm.alu64_imm(Alu::Lsh, 9, ROW.trailing_zeros() as i32);
        self.asm.load_data(3, DataId(0), offset);
        self.asm.alu64(Alu::Add, 3, 9);
        self.asm.load(Size::DW, 2, 3, 0);
        self.asm.load(Size::W, 3, 3, 8);
        self.asm.mov(1, 6);
        self.asm.call_function(function);
        self.asm.exit();
        self.asm.bind(unknown);
        self.asm.mov_imm(0, DROP);
        self.asm.exit();
    }

    /// Where the table is in the data: a row for each rule, and the last for the default.
    fn pools_by_rule(&mut self) -> u32 {
        if let Some(offset) = self.by_rule {
            return offset;
        }
        let rules = self.rules;
        self.tables.resize(self.tables.len().next_multiple_of(ROW), 0);
        let offset = self.tables.len() as u32;
        let verdicts = rules.rules.iter().map(|rule| match &rule.action {
            Action::Verdict(verdict) => Some(verdict),
            _ => None,
        });
        for verdict in verdicts.chain([Some(&rules.default)]) {
            let pool = match verdict {
                Some(Verdict::Route(name)) => rules.pool(name),
                _ => None,
            };
            let row = pool.map_or([0; 2], |pool| [self.routes[pool].terms, self.routes[pool].rings.into()]);
            row.into_iter().for_each(|word| self.tables.extend(word.to_le_bytes()));
        }
        self.by_rule = Some(offset);
        offset
    }
}
