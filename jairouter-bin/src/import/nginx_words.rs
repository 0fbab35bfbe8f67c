//! nginx's configuration as directives, each with its line.

/// The deepest nesting taken, and the most directives.
const DEEPEST: usize = 32;
const MOST: usize = 50_000;

/// A directive, and what is in its block.
#[derive(Debug, Default)]
pub(super) struct Directive {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) words: Vec<String>,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// The first word behind its name.
    pub(super) fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The directives in its block.
    pub(super) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// Every directive.
///
/// # Errors
///
/// Where it is none of nginx's, with the line.
pub(super) fn parse(text: &str) -> Result<Vec<Directive>, String> {
    let mut open: Vec<Directive> =
        vec![Directive { block: Some(Vec::new()), ..Directive::default() }];
    let mut words: Vec<String> = Vec::new();
    let (mut count, mut began) = (0, 1);
    for (line, token) in tokens(text)? {
        if words.is_empty() {
            began = line;
        }
        let full = |words: &mut Vec<String>, block| {
            let mut words = std::mem::take(words).into_iter();
            let name = words.next().unwrap_or_default();
            Directive { line: began, name, words: words.collect(), block }
        };
        match token {
            Token::Word(word) => words.push(word),
            Token::End if words.is_empty() => {}
            Token::End => {
                let directive = full(&mut words, None);
                push(&mut open, directive);
            }
            Token::Open => {
                if words.is_empty() || open.len() > DEEPEST {
                    return Err(format!("{line}: this '{{' opens nothing that could be read"));
                }
                open.push(full(&mut words, Some(Vec::new())));
            }
            Token::Close => {
                if !words.is_empty() || open.len() < 2 {
                    return Err(format!(
                        "{line}: this '}}' closes nothing, or a ';' is missing before it"
                    ));
                }
                if let Some(done) = open.pop() {
                    push(&mut open, done);
                }
            }
        }
        count += 1;
        if count > MOST {
            return Err(format!("{line}: this is more than {MOST} words"));
        }
    }
    match open.pop() {
        Some(root) if open.is_empty() && words.is_empty() => Ok(root.block.unwrap_or_default()),
        Some(left) => {
            Err(format!("{}: this block is not closed, or a ';' is missing", left.line.max(began)))
        }
        None => Ok(Vec::new()),
    }
}

fn push(open: &mut [Directive], directive: Directive) {
    if let Some(block) = open.last_mut().and_then(|outer| outer.block.as_mut()) {
        block.push(directive);
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ';' => tokens.push((line, Token::End)),
            '{' => tokens.push((line, Token::Open)),
            '}' => tokens.push((line, Token::Close)),
            quote @ ('"' | '\'') => {
                let began = line;
                let mut word = String::new();
                loop {
                    match chars.next() {
                        Some('\\') => word.extend(chars.next()),
                        Some(c) if c == quote => break,
                        Some(c) => {
                            line += usize::from(c == '\n');
                            word.push(c);
                        }
                        None => return Err(format!("{began}: this quote is not closed")),
                    }
                }
                tokens.push((began, Token::Word(word)));
            }
            first => {
                let mut word = String::from(first);
                let mut depth = 0;
                while let Some(&c) = chars.peek() {
                    // `${name}` is one word.
                    let is_variable = c == '{' && word.ends_with('$') || depth > 0;
                    if !is_variable && (c.is_whitespace() || matches!(c, ';' | '{' | '}')) {
                        break;
                    }
                    depth += usize::from(c == '{' && is_variable);
                    depth -= usize::from(c == '}' && depth > 0);
                    if c == '\n' {
                        return Err(format!("{line}: this variable is not closed"));
                    }
                    word.push(c);
                    chars.next();
                }
                tokens.push((line, Token::Word(word)));
            }
        }
    }
    Ok(tokens)
}
