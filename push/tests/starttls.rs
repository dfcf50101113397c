//! What is spoken before TLS: with a real directory, and with peers that follow the standards' own
//! examples. Real mail and database servers are in the tests of their kinds.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use push::probe::{Expected, Found, prove};
use push::{Bundle, StartTls};

use crate::peer::{Peer, Preamble, certified, config, hear, say};
use crate::scene::{Folder, Issuer, Server, need, once, port};

async fn is_proven(port: u16, starttls: StartTls, bundle: &Bundle) {
    let mut probe = once(port, &["shop.test"]);
    probe.starttls = Some(starttls);
    let proof = prove(&probe, &Expected::of(bundle, &[])).await;
    assert!(proof.proven, "{starttls:?}: {proof}");
}

/// Writes certificate and key, as text for a configuration.
fn material(folder: &Folder, bundle: &Bundle) -> (String, String) {
    folder.write("tls.crt", bundle.fullchain_pem());
    let key = folder.write("tls.key", bundle.key_pem().expect("a key").as_bytes());
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("permissions");
    (folder.text("tls.crt"), folder.text("tls.key"))
}

#[tokio::test]
async fn slapd_is_proven_by_ldap() {
    let (folder, port, bundle) = (Folder::new(), port(), Issuer::new().bundle(&["shop.test"]));
    let (crt, key) = material(&folder, &bundle);
    folder.write(
        "slapd.conf",
        format!(
            "pidfile {}\nTLSCertificateFile {crt}\nTLSCertificateKeyFile {key}\ndatabase monitor\n",
            folder.text("pid")
        ),
    );
    let config = folder.text("slapd.conf");
    let url = format!("ldap://127.0.0.1:{port}");
    let arguments = ["-f", &config, "-h", &url, "-d", "0"];
    let _server = Server::start(&need("slapd", "slapd"), &arguments, port);
    is_proven(port, StartTls::Ldap, &bundle).await;
}

#[tokio::test]
async fn the_other_protocols_are_spoken_as_their_standards_have_it() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let preambles: [(StartTls, Preamble); 8] = [
        (StartTls::Smtp, |stream| {
            say(stream, b"220-mail.test\r\n220 ready\r\n");
            let greeted = hear(stream, b"EHLO localhost\r\n");
            say(stream, b"250-mail.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n");
            let asked = hear(stream, b"STARTTLS\r\n");
            say(stream, b"220 go ahead\r\n");
            greeted && asked
        }),
        (StartTls::Lmtp, |stream| {
            say(stream, b"220 mail.test\r\n");
            let greeted = hear(stream, b"LHLO localhost\r\n");
            say(stream, b"250 STARTTLS\r\n");
            let asked = hear(stream, b"STARTTLS\r\n");
            say(stream, b"220 go ahead\r\n");
            greeted && asked
        }),
        (StartTls::Imap, |stream| {
            say(stream, b"* OK IMAP4rev2\r\n");
            let asked = hear(stream, b"a STARTTLS\r\n");
            say(stream, b"* CAPABILITY IMAP4rev2\r\na OK begin\r\n");
            asked
        }),
        (StartTls::Pop3, |stream| {
            say(stream, b"+OK POP3\r\n");
            let asked = hear(stream, b"STLS\r\n");
            say(stream, b"+OK begin\r\n");
            asked
        }),
        (StartTls::Ftp, |stream| {
            say(stream, b"220 FTP\r\n");
            let asked = hear(stream, b"AUTH TLS\r\n");
            say(stream, b"234 begin\r\n");
            asked
        }),
        (StartTls::Xmpp, xmpp),
        (StartTls::Mysql, mysql),
        (StartTls::Ldap, |stream| {
            let asked = hear(stream, b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037");
            say(stream, b"\x30\x84\0\0\0\x10\x02\x01\x01\x78\x84\0\0\0\x07\x0a\x01\0\x04\0\x04\0");
            asked
        }),
    ];
    for (starttls, preamble) in preambles {
        let peer = Peer::start("127.0.0.1:0", config(certified(&bundle, &bundle)), preamble);
        is_proven(peer.address.port(), starttls, &bundle).await;
    }
}

fn xmpp(stream: &mut std::net::TcpStream) -> bool {
    let opened = hear(
        stream,
        b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
          xmlns:stream='http://etherx.jabber.org/streams' to='shop.test' version='1.0'>",
    );
    say(
        stream,
        b"<stream:stream from='shop.test' version='1.0'><stream:features><starttls \
          xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>",
    );
    let asked = hear(stream, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    say(stream, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    opened && asked
}

fn mysql(stream: &mut std::net::TcpStream) -> bool {
    // Protocol 10, version, thread, salt, flags with CLIENT_SSL, the rest.
    let mut greeting = b"\x0a8.0.36\0\x01\0\0\0saltsalt\0".to_vec();
    greeting.extend_from_slice(&[0xff, 0xff, 33, 2, 0, 0xff, 0xdf, 21]);
    greeting.resize(greeting.len() + 10 + 13, 0);
    let length = u8::try_from(greeting.len()).expect("short");
    say(stream, &[&[length, 0, 0, 0][..], &greeting].concat());
    let mut request = [0; 36];
    let read = std::io::Read::read_exact(stream, &mut request).is_ok();
    read && request[..4] == [32, 0, 0, 1] && request[5] & 0x08 != 0
}

#[tokio::test]
async fn a_server_without_starttls_is_told_with_what_it_said() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let refusals: [(StartTls, Preamble, &str); 4] = [
        (
            StartTls::Smtp,
            |stream| {
                say(stream, b"220 ready\r\n");
                hear(stream, b"EHLO localhost\r\n");
                say(stream, b"250 hello\r\n");
                hear(stream, b"STARTTLS\r\n");
                say(stream, b"502 not here\r\n");
                false
            },
            "502 not here",
        ),
        (
            StartTls::Postgres,
            |stream| {
                hear(stream, b"\0\0\0\x08\x04\xd2\x16\x2f");
                say(stream, b"N");
                false
            },
            "'N'",
        ),
        (
            StartTls::Ldap,
            |stream| {
                hear(stream, b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037");
                say(stream, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\0\x04\0");
                false
            },
            "resultCode 52",
        ),
        (
            StartTls::Imap,
            |stream| {
                say(stream, &[b'*'; 20_000]);
                false
            },
            "16 KiB",
        ),
    ];
    for (starttls, preamble, said) in refusals {
        let peer = Peer::start("127.0.0.1:0", config(certified(&bundle, &bundle)), preamble);
        let mut probe = once(peer.address.port(), &["shop.test"]);
        probe.starttls = Some(starttls);
        let proof = prove(&probe, &Expected::of(&bundle, &[])).await;
        match &proof.sightings[0].found {
            Found::Unreachable(why) => assert!(why.contains(said), "{starttls:?}: {why}"),
            other => panic!("{starttls:?}: {other:?}"),
        }
    }
}
