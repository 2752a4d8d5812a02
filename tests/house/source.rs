//! Rust text as tokens, just well enough to see paths, macros, functions and test modules: no comment, string or character literal counts.

use std::ops::RangeInclusive;

/// A word, a punctuation character, or something else that stands between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Mark(char),
    Literal,
}

/// One file of the tree: its path with `/`, its tokens each with a line, and the lines of its test items.
pub struct Source {
    pub path: String,
    pub tokens: Vec<(usize, Token)>,
    pub tests: Vec<RangeInclusive<usize>>,
    pub lines: usize,
}

/// A path as written in one place, from its head on: `crate::core::ids::Hash`, one for each leaf of a `use`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub segments: Vec<String>,
    pub in_use: bool,
    /// Modules of this file around it, for `super`.
    pub inside: Vec<String>,
}

/// A function outside tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let tokens = tokens(text);
        let tests = if is_test_file(path) { vec![1..=text.lines().count()] } else { test_items(&tokens) };
        Source { path: path.to_owned(), tokens, tests, lines: text.lines().count() }
    }

    /// The module of the file as path segments: `src/core/note/proof.rs` is `core`, `note`, `proof`; `src/lib.rs` and `src/main.rs` are the root.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" || path == "main" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    pub fn is_test(&self, line: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&line))
    }

    /// Lines without those of test items.
    pub fn lines_without_tests(&self) -> usize {
        (1..=self.lines).filter(|line| !self.is_test(*line)).count()
    }

    fn word(&self, at: usize) -> Option<&str> {
        word(&self.tokens, at)
    }

    fn is_mark(&self, at: usize, mark: char) -> bool {
        is_mark(&self.tokens, at, mark)
    }

    fn is_colons(&self, at: usize) -> bool {
        self.is_mark(at, ':') && self.is_mark(at + 1, ':')
    }

    /// Every path of the file, and every name of a `use` or `extern crate`.
    pub fn named(&self) -> Vec<Named> {
        let (mut out, mut at, mut in_use, mut depth) = (Vec::new(), 0, false, 0usize);
        let mut inside: Vec<(String, usize)> = Vec::new();
        while at < self.tokens.len() {
            match &self.tokens[at].1 {
                Token::Mark(';') => in_use = false,
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => {
                    depth = depth.saturating_sub(1);
                    inside.retain(|(_, opened)| *opened <= depth);
                }
                Token::Word(word) if word == "use" => in_use = true,
                Token::Word(word) if word == "extern" && self.word(at + 1) == Some("crate") => {
                    in_use = true;
                    at += 1;
                }
                Token::Word(word) if word == "mod" && self.is_mark(at + 2, '{') => {
                    inside.push((self.word(at + 1).unwrap_or_default().to_owned(), depth + 1));
                    at += 1;
                }
                Token::Word(_) => {
                    let around: Vec<String> = inside.iter().map(|(name, _)| name.clone()).collect();
                    let mut leaves = Vec::new();
                    let next = self.tree(at, &[], &mut leaves);
                    leaves.retain(|(_, segments)| in_use || segments.len() > 1);
                    out.extend(leaves.into_iter().map(|(line, segments)| Named { line, segments, in_use, inside: around.clone() }));
                    at = next;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        out
    }

    /// Reads one path or tree of a `use` at `at`, gives its leaves, and where it ends.
    fn tree(&self, mut at: usize, lead: &[String], leaves: &mut Vec<(usize, Vec<String>)>) -> usize {
        let mut segments = lead.to_vec();
        let line = self.tokens[at].0;
        loop {
            match self.tokens.get(at).map(|(_, token)| token) {
                Some(Token::Word(word)) => {
                    segments.push(word.clone());
                    at += 1;
                }
                Some(Token::Mark('*')) => {
                    segments.push("*".to_owned());
                    leaves.push((line, segments));
                    return at + 1;
                }
                Some(Token::Mark('{')) => {
                    at += 1;
                    while at < self.tokens.len() && !self.is_mark(at, '}') {
                        let begun = at;
                        at = self.tree(at, &segments, leaves);
                        if self.word(at) == Some("as") {
                            at += 2;
                        }
                        if self.is_mark(at, ',') || at == begun {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                _ => break,
            }
            let goes_on = self.is_colons(at) && (self.word(at + 2).is_some() || self.is_mark(at + 2, '*') || self.is_mark(at + 2, '{'));
            if !goes_on {
                break;
            }
            at += 2;
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        leaves.push((line, segments));
        at
    }

    /// Macros that are called, without `!`.
    pub fn macros(&self) -> Vec<(usize, &str)> {
        let opens = |at: usize| self.is_mark(at, '(') || self.is_mark(at, '[') || self.is_mark(at, '{');
        let called = |at: &usize| self.word(*at).is_some() && self.is_mark(at + 1, '!') && opens(at + 2);
        (0..self.tokens.len()).filter(called).map(|at| (self.tokens[at].0, self.word(at).unwrap_or_default())).collect()
    }

    /// Every word with its line.
    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens.iter().filter_map(|(line, token)| if let Token::Word(word) = token { Some((*line, word.as_str())) } else { None })
    }

    /// Lines of attributes that hold `word`.
    pub fn attributes_with(&self, word: &str) -> Vec<usize> {
        let mut out = Vec::new();
        for at in 0..self.tokens.len() {
            let inner = usize::from(self.is_mark(at + 1, '!'));
            if self.is_mark(at, '#') && self.is_mark(at + 1 + inner, '[') {
                let end = closing(&self.tokens, at + 1 + inner);
                if (at..end).any(|at| self.word(at) == Some(word)) {
                    out.push(self.tokens[at].0);
                }
            }
        }
        out
    }

    /// The functions with a body, tests and all.
    pub fn functions(&self) -> Vec<Function> {
        let mut out = Vec::new();
        for at in 0..self.tokens.len() {
            let (Some("fn"), Some(name)) = (self.word(at), self.word(at + 1)) else { continue };
            let Some(open) = body(&self.tokens, at) else { continue };
            let (line, last) = (self.tokens[at].0, self.tokens[closing(&self.tokens, open)].0);
            out.push(Function { name: name.to_owned(), line, lines: last + 1 - line });
        }
        out
    }
}

fn word(tokens: &[(usize, Token)], at: usize) -> Option<&str> {
    if let Some((_, Token::Word(word))) = tokens.get(at) { Some(word) } else { None }
}

fn is_mark(tokens: &[(usize, Token)], at: usize, mark: char) -> bool {
    tokens.get(at).is_some_and(|(_, token)| *token == Token::Mark(mark))
}

/// Whether all of a file is test code.
pub fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Where the bracket that opens at `open` closes; the last token when it never does.
fn closing(tokens: &[(usize, Token)], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, (_, token)) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len() - 1
}

/// The `{` of the item at `at`, unless a `;` ends the item first.
fn body(tokens: &[(usize, Token)], mut at: usize) -> Option<usize> {
    while let Some((_, token)) = tokens.get(at) {
        match token {
            Token::Mark(';') => return None,
            Token::Mark('{') => return Some(at),
            Token::Mark('(' | '[') => at = closing(tokens, at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The lines of every item under `#[cfg(test)]`, attribute and all.
fn test_items(tokens: &[(usize, Token)]) -> Vec<RangeInclusive<usize>> {
    let mut out = Vec::new();
    for at in 0..tokens.len() {
        let is_cfg = is_mark(tokens, at, '#') && is_mark(tokens, at + 1, '[') && word(tokens, at + 2) == Some("cfg");
        if !is_cfg || word(tokens, at + 4) != Some("test") || !is_mark(tokens, at + 5, ')') {
            continue;
        }
        let item = closing(tokens, at + 1) + 1;
        let semicolon = || (item..tokens.len()).find(|at| is_mark(tokens, *at, ';')).unwrap_or(item);
        let is_use = word(tokens, item) == Some("use");
        let end = if is_use { semicolon() } else { body(tokens, item).map_or_else(semicolon, |open| closing(tokens, open)) };
        if let (Some((first, _)), Some((last, _))) = (tokens.get(at), tokens.get(end)) {
            out.push(*first..=*last);
        }
    }
    out
}

/// Takes a text apart. Comments vanish; literals are one token each.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let (end, token) = match c {
            '/' if next == Some('/') => (end_of_line(&chars, at), None),
            '/' if next == Some('*') => (end_of_comment(&chars, at), None),
            '"' => (end_of_string(&chars, at), Some(Token::Literal)),
            '\'' => match end_of_char(&chars, at) {
                Some(end) => (end, Some(Token::Literal)),
                None => (end_of_word(&chars, at + 1), Some(Token::Literal)),
            },
            c if c.is_alphabetic() || c == '_' => match end_of_prefixed(&chars, at) {
                Some(end) => (end, Some(Token::Literal)),
                None => {
                    let end = end_of_word(&chars, at);
                    (end, Some(Token::Word(chars[at..end].iter().collect())))
                }
            },
            c if c.is_ascii_digit() => (end_of_word(&chars, at), Some(Token::Literal)),
            c if c.is_whitespace() => (at + 1, None),
            c => (at + 1, Some(Token::Mark(c))),
        };
        out.extend(token.map(|token| (line, token)));
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    out
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|at| chars[*at] == '\n').unwrap_or(chars.len())
}

fn end_of_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0usize;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < chars.len() {
        match chars[at] {
            '"' => return at + 1,
            '\\' => at += 2,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of a character literal; `None` for a lifetime.
fn end_of_char(chars: &[char], quote: usize) -> Option<usize> {
    if chars.get(quote + 1) == Some(&'\\') {
        return (quote + 3..chars.len()).find(|at| chars[*at] == '\'').map(|at| at + 1);
    }
    (chars.get(quote + 2) == Some(&'\'')).then_some(quote + 3)
}

fn end_of_word(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|at| !chars[*at].is_alphanumeric() && chars[*at] != '_').unwrap_or(chars.len())
}

/// The end of `b"…"`, `c"…"`, `b'…'`, `r"…"`, `r#"…"#` and their kin; `None` for a word.
fn end_of_prefixed(chars: &[char], at: usize) -> Option<usize> {
    let end = end_of_word(chars, at);
    let prefix: String = chars[at..end].iter().collect();
    match prefix.as_str() {
        "b" | "c" if chars.get(end) == Some(&'"') => Some(end_of_string(chars, end)),
        "b" if chars.get(end) == Some(&'\'') => end_of_char(chars, end),
        "r" | "br" | "cr" => {
            let hashes = (end..chars.len()).take_while(|at| chars[*at] == '#').count();
            if chars.get(end + hashes) != Some(&'"') {
                return None;
            }
            let closes = |at: usize| chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
            Some((end + hashes + 1..chars.len()).find(|at| closes(*at)).map_or(chars.len(), |at| at + 1 + hashes))
        }
        _ => None,
    }
}
