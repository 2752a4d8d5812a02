//! The socket alone, with a door that stands for the worker: hostile peers, what they cost, and what others see of it.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tabellion::broker::elect::{Role, bound, elect};
use tabellion::broker::follow::{Remote, Turned};
use tabellion::broker::serve::Server;
use tabellion::broker::socket::{Channel, Connected, after, connect};
use tabellion::broker::wire::{Ask, Message, frame, parse};
use tabellion::broker::{Answer, Append, Asker, Door, Patience, Read, RequestId};
use tabellion::core::rules::{Fault, Rule};
use tabellion::ledger::{LedgerError, Why};
use tempfile::TempDir;

const LEDGER: &str = "witness.example/common/~alice";

/// A door that answers `Head` at once, `Latest` when it is let go or nobody waits any more, and counts appends.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<Asker>>,
    appended: AtomicUsize,
    cancelled: AtomicUsize,
    waiting: AtomicUsize,
    let_go: AtomicBool,
}

impl Door for Fake {
    fn read(&self, asker: &Asker, _id: &RequestId, read: &Read, patience: &Patience) -> Result<Answer, LedgerError> {
        self.asked.lock().unwrap().push(asker.clone());
        if *read == Read::Head {
            return Ok(Answer::Hash(Some([7; 32])));
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !self.let_go.load(Ordering::SeqCst) {
            if patience.is_gone() {
                self.cancelled.fetch_add(1, Ordering::SeqCst);
                return Err(LedgerError::of(Fault::new(Rule::RequestCancelled, "gone")));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(Answer::Event(None))
    }

    fn append(&self, _: &Asker, _: &RequestId, _: Append, _: &Patience) -> Result<Answer, LedgerError> {
        self.appended.fetch_add(1, Ordering::SeqCst);
        Ok(Answer::Appended([8; 32]))
    }
}

fn served() -> (TempDir, Arc<Fake>, Server) {
    let dir = TempDir::new().unwrap();
    let door = Arc::new(Fake::default());
    let server = Server::open(dir.path(), LEDGER, door.clone()).unwrap();
    (dir, door, server)
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("broker.sock")
}

fn raw(dir: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket(dir)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn say(stream: &mut UnixStream, message: &Message) {
    stream.write_all(&frame(message).unwrap()).unwrap();
}

/// The next message; `None` when the other side has ended the connection.
fn hear(stream: &mut UnixStream) -> Option<Message> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(parse(&body).unwrap())
}

fn hello() -> Message {
    Message::Hello { ledger: LEDGER.into(), program: "a test".into() }
}

fn request(id: u8, read: Read) -> Message {
    Message::Request { id: [id; 16], patience_ms: 20_000, ask: Ask::Read(read) }
}

fn greeted(dir: &Path) -> UnixStream {
    let mut stream = raw(dir);
    say(&mut stream, &hello());
    assert_eq!(hear(&mut stream), Some(Message::Welcome { pid: std::process::id() }));
    stream
}

fn follower(dir: &Path) -> Remote {
    let Connected::To(channel) = connect(dir).unwrap() else { panic!("somebody listens") };
    Remote::greet(channel, LEDGER, "a test", bound()).unwrap_or_else(|_| panic!("a welcome"))
}

fn patience() -> Patience {
    Patience { until_us: after(Duration::from_secs(20)), gone: Arc::default() }
}

fn asker() -> Asker {
    Asker { uid: 0, pid: 0, program: "nobody believes this".into() }
}

fn head_is_answered(dir: &Path) {
    assert_eq!(follower(dir).read(&asker(), &[9; 16], &Read::Head, &patience()), Ok(Answer::Hash(Some([7; 32]))));
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn follower_is_answered_as_whom_the_kernel_says_and_the_socket_goes_with_the_server() {
    let (dir, door, server) = served();
    let found = socket(dir.path()).symlink_metadata().unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    head_is_answered(dir.path());
    let remote = follower(dir.path());
    let append = Append { expected_head: None, bring: vec![], events: vec![], head_file: None, idempotency_key: None };
    assert_eq!(remote.append(&asker(), &[1; 16], append, &patience()), Ok(Answer::Appended([8; 32])));
    let uid = rustix::process::geteuid().as_raw();
    let expected = Asker { uid, pid: std::process::id(), program: "a test".into() };
    assert_eq!(*door.asked.lock().unwrap(), [expected]);
    drop(server);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no file is left");
    let refusal = remote.read(&asker(), &[2; 16], &Read::Head, &patience()).unwrap_err();
    assert_eq!((refusal.why, refusal.rule), (Why::LeaderLost, Rule::AnotherWriter));
    assert!(matches!(connect(dir.path()), Ok(Connected::ToNobody)));
}

#[test]
fn hostile_first_messages_are_turned_away_with_words_and_others_are_answered() {
    let (dir, _, server) = served();
    let version_2 = [0, 0, 0, 5, 0x84, 0, 2, 0xf5, 0xf5].to_vec();
    let other_ledger = frame(&Message::Hello { ledger: "bob".into(), program: "a test".into() }).unwrap();
    for (bytes, words) in [
        (version_2, "version 2 found; 1 expected"),
        (other_ledger, "ledger \"bob\" asked for; \"witness.example/common/~alice\""),
        (frame(&Message::Leaving).unwrap(), "another message found; a hello expected"),
        (vec![0, 0, 0, 3, 0xff, 0xff, 0xff], "3 bytes found that are none"),
        (vec![0xff; 8], "a length of 4294967295 bytes found; 1 to 16777216 expected"),
        (vec![0; 4], "a length of 0 bytes found"),
    ] {
        let mut stream = raw(dir.path());
        stream.write_all(&bytes).unwrap();
        let Some(Message::Away(refusal)) = hear(&mut stream) else { panic!("{words}: away") };
        assert_eq!((refusal.why, refusal.rule), (Why::Message, Rule::BrokerMessage), "{words}");
        assert!(refusal.found.contains(words), "{refusal}");
        assert_eq!(hear(&mut stream), None, "{words}: and the end");
        head_is_answered(dir.path());
    }
    drop(server);
}

#[test]
fn half_a_message_and_silence_end_the_connection_in_bounded_time() {
    let (dir, _, _server) = served();
    let began = Instant::now();
    let half = frame(&hello()).unwrap();
    let mut ends: Vec<UnixStream> = [&half[..0], &half[..2], &half[..9]]
        .into_iter()
        .map(|bytes| {
            let mut stream = raw(dir.path());
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    // A megabyte that was announced and does not come, behind a good hello.
    let mut stream = greeted(dir.path());
    stream.write_all(&[0, 16, 0, 0, 0]).unwrap();
    ends.push(stream);
    head_is_answered(dir.path());
    for (index, mut stream) in ends.into_iter().enumerate() {
        match hear(&mut stream) {
            None => assert_eq!(index, 0, "one that never said anything gets no words"),
            Some(Message::Away(refusal)) => assert!(refusal.found.contains("expected within 2000 ms"), "{refusal}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn thousand_connections_cost_sixty_four_places_and_a_follower_comes_in_when_they_end() {
    let (dir, _, _server) = served();
    let mut all: Vec<UnixStream> = Vec::new();
    let mut away = 0;
    while all.len() < 1_000 {
        // The kernel's queue may be full for a moment.
        let Ok(stream) = UnixStream::connect(socket(dir.path())) else { continue };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        all.push(stream);
    }
    for mut stream in all.drain(..) {
        if let Some(Message::Away(refusal)) = hear(&mut stream) {
            assert_eq!((refusal.why, refusal.rule), (Why::AnotherWriter, Rule::AnotherWriter));
            away += 1;
        }
    }
    assert!(away >= 800, "{away} turned away; nobody keeps a place by saying nothing");
    head_is_answered(dir.path());
    // As long as all places are taken, a follower is told to come again, and not that it may not.
    let places: Vec<UnixStream> = (0..64).map(|_| greeted(dir.path())).collect();
    let Ok(Connected::To(channel)) = connect(dir.path()) else { panic!("somebody listens") };
    assert!(matches!(Remote::greet(channel, LEDGER, "a test", bound()), Err(Turned::Again)));
    drop(places);
    let mut lead = || -> Result<Result<(), Fault>, Fault> { Ok(Err(Fault::new(Rule::AnotherWriter, "another"))) };
    assert!(matches!(elect(dir.path(), LEDGER, "a test", bound(), &mut lead), Ok(Role::Follows(_))));
}

#[test]
fn more_requests_at_once_than_may_be_end_the_connection_and_cancel_what_was_asked() {
    let (dir, door, _server) = served();
    let mut stream = greeted(dir.path());
    for id in 0..4 {
        say(&mut stream, &request(id, Read::Latest));
    }
    until("one is being worked on", || door.waiting.load(Ordering::SeqCst) == 1);
    say(&mut stream, &Message::Ping(3));
    assert_eq!(hear(&mut stream), Some(Message::Pong(3)), "also while a request is worked on");
    say(&mut stream, &request(5, Read::Latest));
    loop {
        match hear(&mut stream) {
            Some(Message::Away(refusal)) => break assert!(refusal.found.contains("more than 4 requests at once"), "{refusal}"),
            Some(Message::Response { outcome, .. }) => assert_eq!(outcome.unwrap_err().why, Why::Cancelled),
            other => panic!("{other:?}"),
        }
    }
    until("all are cancelled", || door.cancelled.load(Ordering::SeqCst) == 4);
}

#[test]
fn whoever_hangs_up_is_not_worked_for_any_more() {
    let (dir, door, _server) = served();
    let mut stream = greeted(dir.path());
    say(&mut stream, &request(1, Read::Latest));
    until("it is worked on", || door.waiting.load(Ordering::SeqCst) == 1);
    drop(stream);
    until("it is cancelled", || door.cancelled.load(Ordering::SeqCst) == 1);
}

#[test]
fn peer_that_reads_no_answer_holds_nobody_up_and_the_server_ends() {
    let (dir, door, server) = served();
    door.let_go.store(true, Ordering::SeqCst);
    let mut deaf = greeted(dir.path());
    deaf.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // Pings until the answers fill every buffer.
    let pings: Vec<u8> = (0..100_000).flat_map(|number| frame(&Message::Ping(number)).unwrap()).collect();
    assert!(deaf.write_all(&pings).is_err(), "it is read no further");
    head_is_answered(dir.path());
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[test]
fn leaving_answers_what_was_begun_and_ends_the_rest() {
    let (dir, door, server) = served();
    let mut stream = greeted(dir.path());
    say(&mut stream, &request(1, Read::Latest));
    until("it is worked on", || door.waiting.load(Ordering::SeqCst) == 1);
    let ending = thread::spawn(move || drop(server));
    assert_eq!(hear(&mut stream), Some(Message::Leaving));
    assert!(!socket(dir.path()).exists(), "the name has gone before");
    door.let_go.store(true, Ordering::SeqCst);
    assert_eq!(hear(&mut stream), Some(Message::Response { id: [1; 16], outcome: Ok(Answer::Event(None)) }));
    assert_eq!(hear(&mut stream), None);
    ending.join().unwrap();
}

#[test]
fn lingering_ends_at_once_with_nobody_and_goes_on_while_somebody_asks() {
    let (dir, _, server) = served();
    let began = Instant::now();
    server.linger();
    assert!(began.elapsed() < Duration::from_millis(150), "nobody is connected: {:?}", began.elapsed());
    let path = dir.path().to_owned();
    let asking = thread::spawn(move || {
        let remote = follower(&path);
        let mut answered = 0_u32;
        for _ in 0..12 {
            answered += u32::from(remote.read(&asker(), &[1; 16], &Read::Head, &patience()).is_ok());
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(600));
        answered
    });
    until("it is connected", || {
        server.linger();
        began.elapsed() > Duration::from_millis(500)
    });
    server.linger();
    drop(server);
    assert_eq!(asking.join().unwrap(), 12, "nobody who asked in time was left alone");
}

#[test]
fn folder_with_a_long_name_has_a_socket_all_the_same() {
    let dir = TempDir::new().unwrap();
    let long = dir.path().join("n".repeat(120)).join("m".repeat(120));
    std::fs::create_dir_all(&long).unwrap();
    let _server = Server::open(&long, LEDGER, Arc::new(Fake::default())).unwrap();
    assert!(UnixStream::connect(socket(&long)).is_err(), "its own path is too long");
    head_is_answered(&long);
}

#[test]
fn what_is_no_socket_is_left_alone_and_never_followed() {
    let elsewhere = TempDir::new().unwrap();
    let target = elsewhere.path().join("broker.sock");
    let _theirs = UnixListener::bind(&target).unwrap();
    for name in ["broker.sock", "broker.sock.new"] {
        for plant in [
            |path: &Path, _: &Path| std::fs::create_dir(path).unwrap(),
            |path: &Path, _: &Path| std::fs::write(path, "mine").unwrap(),
            |path: &Path, target: &Path| symlink(target, path).unwrap(),
        ] {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join(name);
            plant(&path, &target);
            let before = path.symlink_metadata().unwrap().file_type();
            let Err(fault) = Server::open(dir.path(), LEDGER, Arc::new(Fake::default())) else { panic!("{name}: a server") };
            assert!(fault.rule == Rule::FileFault && fault.found.contains("a socket or nothing expected"), "{fault}");
            assert!(matches!(connect(dir.path()), Ok(Connected::ToNobody)), "{name}");
            assert_eq!(path.symlink_metadata().unwrap().file_type(), before);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        }
    }
}

#[test]
fn stale_sockets_are_replaced_and_a_socket_of_another_is_not_removed() {
    let dir = TempDir::new().unwrap();
    for name in ["broker.sock", "broker.sock.new"] {
        drop(UnixListener::bind(dir.path().join(name)).unwrap());
    }
    assert!(matches!(connect(dir.path()), Ok(Connected::ToNobody)), "nobody answers there");
    let server = Server::open(dir.path(), LEDGER, Arc::new(Fake::default())).unwrap();
    head_is_answered(dir.path());
    assert!(!dir.path().join("broker.sock.new").exists());
    // Somebody puts another in its place: that is not ours to remove.
    std::fs::remove_file(socket(dir.path())).unwrap();
    let _theirs = UnixListener::bind(socket(dir.path())).unwrap();
    drop(server);
    assert!(socket(dir.path()).exists());
}

#[test]
fn leader_that_answers_nonsense_is_named_and_nothing_is_believed() {
    let dir = TempDir::new().unwrap();
    let listener = UnixListener::bind(socket(dir.path())).unwrap();
    let answers = [
        frame(&Message::Ping(1)).unwrap(),
        vec![0, 0, 0, 3, 0x83, 1, 2],
        vec![0xff; 16],
        frame(&Message::Away(LedgerError::of(Fault::new(Rule::BrokerMessage, "no")))).unwrap(),
    ];
    let count = answers.len();
    let lying = thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&answer).unwrap();
            let _ = stream.read(&mut [0; 64]);
        }
    });
    for index in 0..count {
        let Ok(Connected::To(channel)) = connect(dir.path()) else { panic!("somebody listens") };
        let greeted = Remote::greet(channel, LEDGER, "a test", bound());
        assert!(matches!(greeted, Err(Turned::Away(fault)) if fault.rule == Rule::BrokerMessage), "{index}");
    }
    lying.join().unwrap();
}

#[test]
fn channel_stands_until_the_other_side_ends() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let channel = Channel::of(ours);
    assert!(channel.stands());
    (&theirs).write_all(b"x").unwrap();
    assert!(channel.stands(), "with something to be read");
    drop(theirs);
    assert!(channel.stands(), "what was sent can still be read");
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert!(!Channel::of(ours).stands());
}
