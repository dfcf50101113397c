//! A name server with a fixed zone, over UDP and TCP, that counts what it is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// What stands at a name and type.
#[derive(Clone)]
pub(super) enum Reply {
    Data(Vec<RData>),
    Error(ResponseCode),
    Silence,
    /// Truncated over UDP, whole over TCP.
    Long(Vec<RData>),
}

type Zone = HashMap<(String, RecordType), Reply>;

/// A running server; it ends with the test's runtime.
#[derive(Clone)]
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
}

impl NameServer {
    pub(super) async fn start() -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let address = tcp.local_addr().expect("address");
            // The port may be taken on UDP: then another.
            if let Ok(udp) = UdpSocket::bind(address).await {
                break (udp, tcp);
            }
        };
        let server = Self {
            address: tcp.local_addr().expect("address"),
            zone: Arc::default(),
            asked: Arc::default(),
        };
        tokio::spawn(server.clone().serve_udp(udp));
        tokio::spawn(server.clone().serve_tcp(tcp));
        server
    }

    pub(super) fn set(&self, name: &str, kind: RecordType, reply: Reply) -> &Self {
        self.zone.lock().expect("lock").insert((name.to_owned(), kind), reply);
        self
    }

    pub(super) fn a(&self, name: &str, address: &str) -> &Self {
        let data = RData::A(A(address.parse().expect("address")));
        self.set(name, RecordType::A, Reply::Data(vec![data]))
    }

    pub(super) fn aaaa(&self, name: &str, address: &str) -> &Self {
        let data = RData::AAAA(AAAA(address.parse().expect("address")));
        self.set(name, RecordType::AAAA, Reply::Data(vec![data]))
    }

    pub(super) fn cname(&self, name: &str, target: &str) -> &Self {
        let data = RData::CNAME(CNAME(Name::from_ascii(format!("{target}.")).expect("name")));
        self.set(name, RecordType::CNAME, Reply::Data(vec![data]))
    }

    /// One record per value, of the strings given.
    pub(super) fn txt(&self, name: &str, values: &[&[&str]]) -> &Self {
        let data = |strings: &&[&str]| {
            RData::TXT(TXT::new(strings.iter().map(|string| (*string).to_owned()).collect()))
        };
        self.set(name, RecordType::TXT, Reply::Data(values.iter().map(data).collect()))
    }

    pub(super) fn asked(&self) -> Vec<(String, RecordType)> {
        self.asked.lock().expect("lock").clone()
    }

    async fn serve_udp(self, socket: UdpSocket) {
        let mut buffer = vec![0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = self.answer(&buffer[..length], false) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let server = self.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut buffer = vec![0; length.into()];
                    stream.read_exact(&mut buffer).await.expect("query");
                    let Some(answer) = server.answer(&buffer, true) else { return };
                    let length = u16::try_from(answer.len()).expect("length");
                    stream.write_u16(length).await.expect("write");
                    stream.write_all(&answer).await.expect("write");
                }
            });
        }
    }

    fn answer(&self, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).expect("query");
        let question = query.queries.first().expect("question").clone();
        let name = question.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let kind = question.query_type();
        self.asked.lock().expect("lock").push((name.clone(), kind));
        let mut answer = Message::response(query.metadata.id, OpCode::Query);
        answer.metadata.recursion_available = true;
        let owner = question.name().clone();
        answer.add_query(question);
        let zone = self.zone.lock().expect("lock");
        let found = zone
            .get(&(name.clone(), kind))
            .or_else(|| zone.get(&(name.clone(), RecordType::CNAME)));
        let (data, truncated) = match found {
            Some(Reply::Data(data)) => (data.clone(), false),
            Some(Reply::Long(data)) => (if tcp { data.clone() } else { vec![] }, !tcp),
            Some(Reply::Silence) => return None,
            Some(Reply::Error(code)) => {
                answer.metadata.response_code = *code;
                (vec![], false)
            }
            None => {
                if !zone.keys().any(|(other, _)| *other == name) {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                }
                (vec![], false)
            }
        };
        answer.metadata.truncation = truncated;
        for data in data {
            answer.add_answer(Record::from_rdata(owner.clone(), 300, data));
        }
        Some(answer.to_vec().expect("encodes"))
    }
}
