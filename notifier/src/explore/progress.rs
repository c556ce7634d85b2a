//! Progress: whether success stays reachable from every state (AG EF), with no assumption that
//! anybody is fair; and how often something may happen on the way.

use std::collections::{HashMap, VecDeque};

use super::machine::{Edge, State};
use super::mistake::Mistake;
use super::search::Search;
use super::trace::Way;

/// How often a counted step can be made on one way through the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Most {
    /// At most so often.
    Times(u64),
    /// As often as one likes: there is a cycle with such a step.
    Unbounded,
}

/// The states from which success can't be reached.
pub(super) struct Lost {
    good: Vec<bool>,
}

impl Lost {
    /// The first state, in the order of the search, that can't reach success.
    pub(super) fn first(&self) -> Option<usize> {
        self.good.iter().position(|good| !good)
    }

    /// Whether the state with this number can't.
    pub(super) fn contains(&self, id: usize) -> bool {
        self.good.get(id) == Some(&false)
    }
}

/// The steps between states that were found, by their numbers.
struct Steps {
    /// Where the steps of each state begin in the lists.
    first: Vec<usize>,
    to: Vec<u32>,
    counted: Vec<bool>,
}

impl<const W: usize> Search<'_, W> {
    fn steps_between(&self, counter: Option<usize>) -> Result<Steps, Mistake> {
        let mut steps = Steps {
            first: vec![0],
            to: Vec::new(),
            counted: Vec::new(),
        };
        let mut edges = Vec::new();
        for id in 0..self.store.len() {
            self.machine.successors(&self.store.get(id), &mut edges)?;
            for edge in edges.drain(..) {
                let to = self
                    .store
                    .find(&edge.state)
                    .and_then(|to| u32::try_from(to).ok());
                steps.to.extend(to);
                let counts =
                    counter.is_some_and(|counter| edge.effects.counted >> counter & 1 == 1);
                steps.counted.extend(to.map(|_| counts));
            }
            steps.first.push(steps.to.len());
        }
        Ok(steps)
    }

    /// Which states can reach one that is a success, by going backwards until nothing is new.
    pub(super) fn lost(&self, success: impl Fn(&State<W>) -> bool) -> Result<Lost, Mistake> {
        let steps = self.steps_between(None)?;
        let count = self.store.len();
        let mut good: Vec<bool> = (0..count).map(|id| success(&self.store.get(id))).collect();
        let before = steps.backwards(count);
        let mut waiting: Vec<usize> = (0..count).filter(|id| good[*id]).collect();
        while let Some(id) = waiting.pop() {
            for from in before.of(id) {
                if !std::mem::replace(&mut good[from], true) {
                    waiting.push(from);
                }
            }
        }
        Ok(Lost { good })
    }

    /// The way into the states that can't reach success, and on to where it goes round in a circle,
    /// if possible one with a counted step; the number of the step at which the circle begins.
    pub(super) fn way_around(
        &self,
        lost: usize,
        counter: Option<usize>,
    ) -> Result<(Way<W>, Option<usize>), Mistake> {
        let mut way = self.way_to(lost)?;
        let near = self.near(lost)?;
        let mut best: Option<(Vec<Edge<W>>, Vec<Edge<W>>)> = None;
        for counted_only in [true, false] {
            for (id, stem) in &near {
                let Some(circle) =
                    self.circle(*id, counted_only.then_some(counter).flatten(), counted_only)?
                else {
                    continue;
                };
                let shorter = best.as_ref().is_none_or(|(old_stem, old)| {
                    stem.len() + circle.len() < old_stem.len() + old.len()
                });
                if shorter {
                    best = Some((stem.clone(), circle));
                }
            }
            if best.is_some() {
                break;
            }
        }
        let Some((stem, circle)) = best else {
            return Ok((way, None));
        };
        way.edges.extend(stem);
        let again = way.edges.len();
        way.edges.extend(circle);
        Ok((way, Some(again)))
    }

    /// The states that can be reached from `from`, nearest first, each with a shortest way there; no
    /// more than some hundreds.
    fn near(&self, from: usize) -> Result<Vec<(usize, Vec<Edge<W>>)>, Mistake> {
        let mut known = HashMap::from([(from, ())]);
        let mut all = vec![(from, Vec::new())];
        let mut at = 0;
        while at < all.len() && all.len() < 500 {
            let (id, way) = all[at].clone();
            for edge in self.edges(id)? {
                if let Some(to) = self
                    .store
                    .find(&edge.state)
                    .filter(|to| !known.contains_key(to))
                {
                    known.insert(to, ());
                    let mut longer = way.clone();
                    longer.push(edge);
                    all.push((to, longer));
                }
            }
            at += 1;
        }
        Ok(all)
    }

    fn edges(&self, id: usize) -> Result<Vec<Edge<W>>, Mistake> {
        let mut edges = Vec::new();
        self.machine.successors(&self.store.get(id), &mut edges)?;
        Ok(edges)
    }

    /// A shortest way from a state back to it; if `counted`, one with a step that counts.
    fn circle(
        &self,
        home: usize,
        counter: Option<usize>,
        counted: bool,
    ) -> Result<Option<Vec<Edge<W>>>, Mistake> {
        if counted && counter.is_none() {
            return Ok(None);
        }
        let counts = |edge: &Edge<W>| {
            counter.is_some_and(|counter| edge.effects.counted >> counter & 1 == 1)
        };
        let mut known = HashMap::from([((home, !counted), ())]);
        let mut waiting = VecDeque::from([((home, !counted), Vec::new())]);
        while let Some(((id, enough), way)) = waiting.pop_front() {
            for edge in self.edges(id)? {
                let Some(to) = self.store.find(&edge.state) else {
                    continue;
                };
                let enough = enough || counts(&edge);
                let mut longer: Vec<Edge<W>> = way.clone();
                longer.push(edge);
                if to == home && enough {
                    return Ok(Some(longer));
                }
                if known.len() < 2000 && known.insert((to, enough), ()).is_none() {
                    waiting.push_back(((to, enough), longer));
                }
            }
        }
        Ok(None)
    }

    /// How often the counter's steps can be made on one way from the beginning.
    pub(super) fn most(&self, counter: usize) -> Result<Most, Mistake> {
        let steps = self.steps_between(Some(counter))?;
        Ok(steps.most(self.store.len()))
    }
}

/// Where the steps that lead to each state come from.
struct Before {
    first: Vec<usize>,
    from: Vec<u32>,
}

impl Before {
    fn of(&self, id: usize) -> impl Iterator<Item = usize> {
        self.from[self.first[id]..self.first[id + 1]]
            .iter()
            .map(|from| *from as usize)
    }
}

impl Steps {
    fn of(&self, id: usize) -> impl Iterator<Item = (usize, bool)> {
        let range = self.first[id]..self.first[id + 1];
        range.map(|at| (self.to[at] as usize, self.counted[at]))
    }

    fn backwards(&self, count: usize) -> Before {
        let mut first = vec![0; count + 1];
        self.to.iter().for_each(|to| first[*to as usize + 1] += 1);
        (1..=count).for_each(|id| first[id] += first[id - 1]);
        let mut next = first.clone();
        let mut from = vec![0; self.to.len()];
        for id in 0..count {
            for (to, _) in self.of(id) {
                from[next[to]] = u32::try_from(id).unwrap_or(u32::MAX);
                next[to] += 1;
            }
        }
        Before { first, from }
    }

    /// The longest way by counted steps: strongly connected components come out of Tarjan's search
    /// with those that they lead to before them, so each can be given its number at once.
    fn most(&self, count: usize) -> Most {
        let components = self.components(count);
        let mut best = vec![0_u64; components.iter().max().map_or(0, |last| last + 1)];
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|id| components[*id]);
        for id in order {
            for (to, counted) in self.of(id) {
                if components[to] == components[id] {
                    if counted {
                        return Most::Unbounded;
                    }
                    continue;
                }
                let through = best[components[to]] + u64::from(counted);
                best[components[id]] = best[components[id]].max(through);
            }
        }
        Most::Times(best.into_iter().max().unwrap_or(0))
    }

    /// The number of each state's strongly connected component: Tarjan's algorithm, with a stack of
    /// its own instead of recursion.
    fn components(&self, count: usize) -> Vec<usize> {
        const NONE: usize = usize::MAX;
        let (mut number, mut low) = (vec![NONE; count], vec![0; count]);
        let (mut component, mut components) = (vec![NONE; count], 0);
        let (mut open, mut calls, mut next) = (Vec::new(), Vec::new(), 0);
        for root in 0..count {
            if number[root] != NONE {
                continue;
            }
            calls.push((root, self.first[root]));
            while let Some((id, at)) = calls.pop() {
                if at == self.first[id] && number[id] == NONE {
                    (number[id], low[id]) = (next, next);
                    next += 1;
                    open.push(id);
                }
                if at < self.first[id + 1] {
                    let to = self.to[at] as usize;
                    if number[to] == NONE {
                        // Comes back to this step when `to` is done, and takes its `low` then.
                        calls.push((id, at));
                        calls.push((to, self.first[to]));
                        continue;
                    }
                    if component[to] == NONE {
                        low[id] = low[id].min(low[to]);
                    }
                    calls.push((id, at + 1));
                    continue;
                }
                if low[id] == number[id] {
                    while let Some(member) = open.pop() {
                        component[member] = components;
                        if member == id {
                            break;
                        }
                    }
                    components += 1;
                }
            }
        }
        component
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(count: usize, edges: &[(usize, u32, bool)]) -> Steps {
        let mut steps = Steps {
            first: vec![0],
            to: Vec::new(),
            counted: Vec::new(),
        };
        for id in 0..count {
            for (_, to, counted) in edges.iter().filter(|(from, ..)| *from == id) {
                steps.to.push(*to);
                steps.counted.push(*counted);
            }
            steps.first.push(steps.to.len());
        }
        steps
    }

    #[test]
    fn the_longest_way_counts_across_circles_that_count_nothing() {
        let edges = [
            (0, 1, true),
            (1, 2, false),
            (2, 1, false),
            (2, 3, true),
            (0, 3, true),
            (3, 4, false),
        ];
        assert_eq!(steps(5, &edges).most(5), Most::Times(2));
    }

    #[test]
    fn a_circle_that_counts_has_no_bound() {
        let edges = [(0, 1, false), (1, 2, false), (2, 0, true), (2, 3, false)];
        assert_eq!(steps(4, &edges).most(4), Most::Unbounded);
        let own = [(0, 0, true)];
        assert_eq!(steps(1, &own).most(1), Most::Unbounded);
    }

    #[test]
    fn components_are_the_circles() {
        let edges = [
            (0, 1, false),
            (1, 2, false),
            (2, 0, false),
            (2, 3, false),
            (3, 4, false),
            (4, 3, false),
        ];
        let components = steps(5, &edges).components(5);
        assert_eq!(components, [1, 1, 1, 0, 0]);
    }
}
