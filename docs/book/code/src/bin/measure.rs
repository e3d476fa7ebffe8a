//! Measures what the book prints: `measure scaling|pressure|hangs`. The result goes to standard
//! output; the files in `data` are such results. `scaling` takes the numbers of connections and the
//! number of exchanges: `measure scaling 10,100 2000`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oneloop_book::lab::{self, Client, Program, QUESTION};

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("scaling") => scaling(),
        Some("pressure") => pressure(),
        Some("hangs") => hangs(),
        _ => Err(io::Error::other("usage: measure scaling|pressure|hangs")),
    }
}

const ROUNDS: usize = 5;
const EXCHANGES: u64 = 40_000;

/// Prints the cost of an exchange for three servers over the number of connections: medians of
/// rounds in which the servers take turns.
fn scaling() -> io::Result<()> {
    type Start = fn() -> Program;
    let servers: [(&str, Start); 3] = [
        ("threads", || Program::start("ch04", "broken", &[])),
        ("ch07", || Program::start("ch07", "mended", &[])),
        ("greet-server", || {
            Program::greet_server(&["--framing", "line", "--log-level", "warn"])
        }),
    ];
    println!("server        connections  cpu_us_per_exchange  rss_kib  threads");
    let sizes = std::env::args().nth(2);
    let sizes = sizes.as_deref().unwrap_or("10,100,1000,10000");
    let exchanges = oneloop_book::number(3, EXCHANGES) as usize;
    for connections in sizes.split(',').map(|size| size.parse().unwrap_or(1)) {
        let mut results = vec![Vec::new(); servers.len()];
        for _ in 0..ROUNDS {
            for (result, (_, start)) in results.iter_mut().zip(servers) {
                result.push(measure(&start(), connections, exchanges)?);
            }
        }
        for (mut result, (name, _)) in results.into_iter().zip(servers) {
            result.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (cpu, rss, threads) = result[ROUNDS / 2];
            println!("{name:<13} {connections:>11}  {cpu:>19.2}  {rss:>7}  {threads:>7}");
        }
    }
    Ok(())
}

/// Returns the processor time for each exchange in microseconds, the memory, and the threads.
fn measure(server: &Program, connections: usize, exchanges: usize) -> io::Result<(f64, u64, u64)> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut client = TcpStream::connect(server.address())?;
        client.set_nodelay(true)?;
        read_question(&mut client)?;
        clients.push(client);
    }
    let rounds = (exchanges / connections).max(2);
    exchange(&mut clients)?; // not counted: the first use of every thread and buffer
    let before = server.cpu_time();
    for _ in 0..rounds {
        exchange(&mut clients)?;
    }
    let used = server.cpu_time() - before;
    let cpu = used.as_secs_f64() * 1e6 / (rounds * connections) as f64;
    Ok((cpu, server.status("VmRSS"), server.status("Threads")))
}

fn exchange(clients: &mut [TcpStream]) -> io::Result<()> {
    for client in clients.iter_mut() {
        client.write_all(b"Alice\n")?;
    }
    clients.iter_mut().try_for_each(read_question)
}

fn read_question(client: &mut TcpStream) -> io::Result<()> {
    let mut text = Vec::new();
    let mut chunk = [0; 256];
    while !text.ends_with(QUESTION.as_bytes()) {
        match client.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(())
}

/// Prints the memory of chapter 8's server while a client sends names and never reads.
fn pressure() -> io::Result<()> {
    println!("version   sent_kib  rss_kib");
    for version in ["halfway", "mended"] {
        let server = Program::start("ch08", version, &[]);
        let mut client = Client::connect(server.address());
        client.read_until(QUESTION)?;
        println!("{version:<8} {:>9} {:>8}", 0, server.status("VmRSS"));
        let stall = Duration::from_secs(1);
        client.stream().set_write_timeout(Some(stall))?;
        let names = "Alice\n".repeat(256 * 1024 / 6);
        let mut sent = 0;
        while sent < 8 << 20 {
            // The write fails when the server has taken nothing for a second.
            let Ok(count) = (&mut client.stream()).write(names.as_bytes()) else {
                break;
            };
            sent += count;
            if version == "halfway" {
                client.wait_until_read();
            }
            println!(
                "{version:<8} {:>9} {:>8}",
                sent / 1024,
                server.status("VmRSS")
            );
        }
    }
    Ok(())
}

/// Runs the tutorial's own pair, and prints how many runs hang.
fn hangs() -> io::Result<()> {
    const RUNS: usize = 60;
    let python = lab::repository().join("docs/book/code/python");
    let mut server = Command::new("python3");
    server.arg(python.join("server.py")).arg("0");
    let server = Program::spawn(server);
    let mut hung = 0;
    for _ in 0..RUNS {
        hung += usize::from(hangs_once(&python.join("client.py"), server.address())?);
    }
    println!("{hung} of {RUNS} runs of the tutorial's own pair hang");
    Ok(())
}

/// Runs the client once. A run that has not ended after two seconds hangs.
fn hangs_once(client: &std::path::Path, server: SocketAddr) -> io::Result<bool> {
    let mut client = Command::new("python3")
        .arg(client)
        .arg(server.port().to_string())
        .args(["Alice", "Bob", "exit"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let started = Instant::now();
    while client.try_wait()?.is_none() {
        if started.elapsed() > Duration::from_secs(2) {
            client.kill()?;
            client.wait()?;
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(false)
}
