//! The bare upstream over stdio, one JSON message a line.

use std::io::{BufRead, BufReader, Write};

use bartizan_bench::{Kind, Request, Server};

fn main() -> std::io::Result<()> {
    let server = Server::new(10);
    let mut input = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let (mut line, mut answer) = (Vec::new(), Vec::new());
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Some(request) = Request::parse(&line)
            && server.answer(&request, request.era(), &mut answer) != Kind::Silent
        {
            answer.push(b'\n');
            output.write_all(&answer)?;
            output.flush()?;
        }
        line.clear();
        answer.clear();
    }
    Ok(())
}
