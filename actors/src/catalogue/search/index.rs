//! Okapi BM25 over the words of tools.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use sessiongate_protocol::RawJson;

use super::words::{Word, is_idle, words};

/// How soon a word that comes often counts no more.
const K1: f32 = 1.2;
/// How much a long description counts against a tool.
const B: f32 = 0.6;
/// What a word counts, by where it stands.
const NAME: f32 = 3.0;
const TITLE: f32 = 2.0;
const TEXT: f32 = 1.0;
const PARAMETER: f32 = 1.0;
const PARAMETER_TEXT: f32 = 0.5;
/// Words of one tool that are looked at.
const WORDS: usize = 1000;
/// Parameters within parameters are looked at so far down.
const DEPTH: usize = 4;
/// A word that no tool has stands for those that begin with it, if it is so long.
const BEGINNING: usize = 3;

/// The words of all tools. Places are those in the order in which the tools came.
#[derive(Debug)]
pub struct Index {
    /// Sorted by word.
    words: Vec<(Box<str>, Vec<Posting>)>,
    tools: usize,
}

#[derive(Clone, Copy, Debug)]
struct Posting {
    place: u32,
    /// What the word counts here, rarity apart: from 0 to `K1 + 1`.
    weight: f32,
}

/// Words of one tool with what they count together.
struct Counted<'a> {
    ids: &'a mut HashMap<Box<str>, u32>,
    counts: HashMap<u32, f32>,
    length: f32,
    left: usize,
}

// === impl Index ===

impl Index {
    /// Of tools, each with the name of its target and the name that it has there.
    pub fn build<'a>(tools: impl Iterator<Item = (&'a str, &'a str, &'a RawJson)>) -> Self {
        let mut ids = HashMap::new();
        let counted: Vec<(HashMap<u32, f32>, f32)> = tools
            .map(|(target, name, tool)| {
                let mut counted = Counted { ids: &mut ids, counts: HashMap::new(), length: 0.0, left: WORDS };
                counted.text(name, NAME);
                counted.text(target, TEXT);
                counted.tool(tool);
                (counted.counts, counted.length)
            })
            .collect();
        let tools = counted.len();
        let total: f64 = counted.iter().map(|(_, length)| f64::from(*length)).sum();
        let average = ((total / tools.max(1) as f64) as f32).max(1.0);
        let mut postings: Vec<Vec<Posting>> = vec![Vec::new(); ids.len()];
        for ((counts, length), place) in counted.into_iter().zip(0u32..) {
            let long = K1 * (1.0 - B + B * length / average);
            for (id, count) in counts {
                postings[id as usize].push(Posting { place, weight: count * (K1 + 1.0) / (count + long) });
            }
        }
        let mut words: Vec<_> =
            ids.into_iter().map(|(word, id)| (word, std::mem::take(&mut postings[id as usize]))).collect();
        words.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self { words, tools }
    }

    /// How well each tool matches, by place: from 0, nothing of it, to nearly 1, where every word of the query says much
    /// in it. Words that no tool has count too, so that a query of which little is known gets low scores: another measure
    /// (how near embeddings are) can be added place by place without being drowned by chance matches.
    pub fn scores(&self, query: &str) -> Vec<f32> {
        let mut scores = vec![0.0; self.tools];
        let mut most = 0.0;
        for word in self.terms(query) {
            let postings = self.meant(&word);
            let rarity = self.rarity(postings.len());
            most += rarity * (K1 + 1.0);
            for posting in postings.iter() {
                scores[posting.place as usize] += rarity * posting.weight;
            }
        }
        if most > 0.0 {
            scores.iter_mut().for_each(|score| *score /= most);
        }
        scores
    }

    /// The words of a query, each once and in one order, so that sums do not depend on chance.
    fn terms(&self, query: &str) -> BTreeSet<Box<str>> {
        let mut terms = BTreeSet::new();
        let mut idle = BTreeSet::new();
        for word in words(query) {
            let parts = match word {
                Word { whole, parts } if parts.is_empty() || self.postings(&whole).is_some() => vec![whole],
                Word { parts, .. } => parts,
            };
            for part in parts {
                if is_idle(&part) {
                    idle.insert(part)
                } else {
                    terms.insert(part)
                };
            }
        }
        if terms.is_empty() { idle } else { terms }
    }

    fn postings(&self, word: &str) -> Option<&[Posting]> {
        let at = self.words.binary_search_by(|(known, _)| (**known).cmp(word)).ok()?;
        Some(&self.words[at].1)
    }

    /// Where a word is; where it is nowhere, where longer words are that begin with it (`repo`, `auth`).
    fn meant(&self, word: &str) -> std::borrow::Cow<'_, [Posting]> {
        if let Some(known) = self.postings(word) {
            return known.into();
        }
        if word.chars().count() < BEGINNING {
            return Vec::new().into();
        }
        let first = self.words.partition_point(|(known, _)| **known < *word);
        let longer = self.words[first..].iter().take_while(|(known, _)| known.starts_with(word));
        let mut best: HashMap<u32, f32> = HashMap::new();
        for posting in longer.flat_map(|(_, postings)| postings) {
            let weight = best.entry(posting.place).or_default();
            *weight = weight.max(posting.weight);
        }
        best.into_iter().map(|(place, weight)| Posting { place, weight }).collect::<Vec<_>>().into()
    }

    /// What a word counts that so many tools have.
    fn rarity(&self, having: usize) -> f32 {
        let (tools, having) = (self.tools as f32, having as f32);
        (1.0 + (tools - having + 0.5) / (having + 0.5)).ln()
    }
}

/// The places with the highest scores above 0, best first, at most so many; equal ones in the order of the tools.
pub fn best(scores: &[f32], most: usize) -> Vec<u32> {
    let mut found: Vec<(f32, u32)> = scores.iter().copied().zip(0u32..).filter(|(score, _)| *score > 0.0).collect();
    let order = |a: &(f32, u32), b: &(f32, u32)| match b.0.total_cmp(&a.0) {
        Ordering::Equal => a.1.cmp(&b.1),
        unequal => unequal,
    };
    if found.len() > most {
        found.select_nth_unstable_by(most, order);
        found.truncate(most);
    }
    found.sort_unstable_by(order);
    found.into_iter().map(|(_, place)| place).collect()
}

// === impl Counted ===

impl Counted<'_> {
    fn tool(&mut self, tool: &RawJson) {
        // One that cannot be read is found by its name.
        let Ok(tool) = tool.get::<Value>() else { return };
        self.member(&tool["title"], TITLE);
        self.member(&tool["annotations"]["title"], TITLE);
        self.member(&tool["description"], TEXT);
        self.parameters(&tool["inputSchema"], DEPTH);
    }

    fn parameters(&mut self, schema: &Value, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        for (name, parameter) in schema["properties"].as_object().into_iter().flatten() {
            self.text(name, PARAMETER);
            self.member(&parameter["title"], PARAMETER_TEXT);
            self.member(&parameter["description"], PARAMETER_TEXT);
            self.parameters(parameter, depth);
        }
        self.parameters(&schema["items"], depth);
    }

    fn member(&mut self, value: &Value, weight: f32) {
        if let Some(text) = value.as_str() {
            self.text(text, weight);
        }
    }

    fn text(&mut self, text: &str, weight: f32) {
        for word in words(text) {
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            for part in word.parts.into_iter().chain([word.whole]) {
                let next = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
                let id = *self.ids.entry(part).or_insert(next);
                *self.counts.entry(id).or_default() += weight;
            }
            self.length += weight;
        }
    }
}
