//! The servers that present certificates: HAProxy and nginx on ports of their own, from a folder of
//! their own. Each is ended by its own process id when its owner is dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::time::sleep;

use crate::error::Error;
use crate::gauge;
use crate::server::free_port;

/// A program that can serve one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Told over its runtime socket.
    Haproxy,
    /// Told by a reload.
    Nginx,
}

impl Kind {
    /// The name of the program, and of the kind of target.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }
}

/// Servers that run.
#[derive(Default)]
pub(crate) struct Edges {
    children: Vec<Child>,
    ports: Vec<u16>,
}

impl Edges {
    /// One nginx that looks for the certificate of each name in `tls/NAME/current` of `folder`, anew
    /// in each handshake. Gives its port too.
    pub(crate) async fn by_name(folder: &Path) -> Result<(Self, u16), Error> {
        let mut edges = Self::default();
        let port = free_port()?;
        let tls = format!("{}/tls/$ssl_server_name/current", folder.display());
        edges.nginx(folder, port, &tls)?;
        edges.until_they_answer().await?;
        Ok((edges, port))
    }

    /// One nginx that serves the files of `folder` from all processors, plain and over TLS, as fast as it
    /// can. Gives the two ports.
    pub(crate) async fn of_a_file(folder: &Path) -> Result<(Self, [u16; 2]), Error> {
        let mut edges = Self::default();
        let (chain, key) = nobodys("localhost")?;
        write(&folder.join("tls.crt"), &chain)?;
        write(&folder.join("tls.key"), &key)?;
        let ports = [free_port()?, free_port()?];
        let at = folder.display();
        let listen = format!(
            "listen 127.0.0.1:{}; listen 127.0.0.1:{} ssl; ssl_certificate {at}/tls.crt;\n\
             ssl_certificate_key {at}/tls.key; root {at}; default_type application/json;\n\
             sendfile on; tcp_nopush on; open_file_cache max=8; keepalive_requests 100000000;\n",
            ports[0], ports[1]
        );
        edges.run_nginx(folder, ports[0], "auto", &listen)?;
        edges.ports.push(ports[1]);
        edges.until_they_answer().await?;
        Ok((edges, ports))
    }

    /// One nginx that shows a certificate of P-256 at every address of this machine, those of loopback
    /// included. Gives its port too; the certificate is in `tls.crt` of `folder`.
    pub(crate) async fn everywhere(folder: &Path) -> Result<(Self, u16), Error> {
        let mut edges = Self::default();
        let (chain, key) = nobodys("localhost")?;
        write(&folder.join("tls.crt"), &chain)?;
        write(&folder.join("tls.key"), &key)?;
        let (port, at) = (free_port()?, folder.display());
        let listen = format!(
            "listen 0.0.0.0:{port} ssl backlog=4096; ssl_certificate {at}/tls.crt;\n\
             ssl_certificate_key {at}/tls.key; ssl_session_tickets off;\n"
        );
        edges.run_nginx(folder, port, "auto", &listen)?;
        edges.until_they_answer().await?;
        Ok((edges, port))
    }

    /// So many instances that serve one certificate, and what declares them as the targets `edge-0`,
    /// `edge-1`, and so on. Until they are given another they serve one for `name` that nobody trusts.
    pub(crate) async fn alike(
        kind: Kind,
        number: usize,
        name: &str,
        folder: &Path,
    ) -> Result<(Self, String), Error> {
        let mut edges = Self::default();
        let mut declared = String::new();
        for instance in 0..number {
            let home = folder.join(instance.to_string());
            create(&home)?;
            let port = free_port()?;
            let place = match kind {
                Kind::Haproxy => edges.haproxy(&home, port, name)?,
                Kind::Nginx => edges.reloaded_nginx(&home, port, name)?,
            };
            declared += &format!(
                "[[target]]\nname = \"edge-{instance}\"\nkind = {:?}\n{place}\
                 probe = [\"127.0.0.1:{port}\"]\nmatches = 2\nover = \"0s\"\n",
                kind.name()
            );
            // They start one after another: together they would be refused for want of time.
            edges.until_they_answer().await?;
        }
        Ok((edges, declared))
    }

    /// CPU time used by all of them, processes below them included while they live.
    pub(crate) fn cpu(&self) -> Duration {
        let of = |pid: u32| gauge::cpu(pid).unwrap_or_default();
        let with_children = |child: &Child| {
            let below = format!("/proc/{0}/task/{0}/children", child.id());
            let below = fs::read_to_string(below).unwrap_or_default();
            let below = below.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
            of(child.id()) + below.map(of).sum::<Duration>()
        };
        self.children.iter().map(with_children).sum()
    }

    fn haproxy(&mut self, home: &Path, port: u16, name: &str) -> Result<String, Error> {
        let (file, socket) = (home.join("shop.pem"), home.join("admin.sock"));
        let (chain, key) = nobodys(name)?;
        write(&file, &format!("{chain}{key}"))?;
        let config = home.join("haproxy.cfg");
        let text = format!(
            "global\n nbthread 1\n maxconn 64\n stats socket {} mode 600 level admin\n\
             defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 1s\n\
             frontend f\n bind 127.0.0.1:{port} ssl crt {}\n http-request return status 200\n",
            socket.display(),
            file.display()
        );
        write(&config, &text)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&config);
        self.spawn(command, home, port)?;
        Ok(format!("socket = {socket:?}\npath = {file:?}\n"))
    }

    fn reloaded_nginx(&mut self, home: &Path, port: u16, name: &str) -> Result<String, Error> {
        let tls = home.join("tls");
        let first = tls.join("releases/0");
        create(&first)?;
        let (chain, key) = nobodys(name)?;
        write(&first.join("tls.crt"), &chain)?;
        write(&first.join("tls.key"), &key)?;
        let current = tls.join("current");
        std::os::unix::fs::symlink("releases/0", &current)
            .map_err(Error::io(format!("link {}", current.display())))?;
        let config = self.nginx(home, port, &current.display().to_string())?;
        let pid = home.join("nginx.pid");
        Ok(format!(
            "directory = {tls:?}\nconfig = {config:?}\nprefix = {home:?}\npid_file = {pid:?}\n"
        ))
    }

    /// An nginx that takes `tls.crt` and `tls.key` from `tls`; gives its configuration.
    fn nginx(&mut self, home: &Path, port: u16, tls: &str) -> Result<PathBuf, Error> {
        let listen = format!(
            "listen 127.0.0.1:{port} ssl backlog=4096; server_name _;\n\
             ssl_certificate {tls}/tls.crt; ssl_certificate_key {tls}/tls.key;"
        );
        self.run_nginx(home, port, "1", &listen)
    }

    /// An nginx with one server; gives its configuration.
    fn run_nginx(
        &mut self,
        home: &Path,
        port: u16,
        processes: &str,
        server: &str,
    ) -> Result<PathBuf, Error> {
        // The files are readable for their owner only, who is whoever runs this.
        let user = if geteuid().is_root() { "user root;\n" } else { "" };
        let at = home.display();
        let text = format!(
            "{user}worker_processes {processes};\nerror_log {at}/error.log crit;\npid {at}/nginx.pid;\n\
             events {{ worker_connections 4096; }}\nhttp {{ access_log off;\n\
             client_body_temp_path {at}/temp; proxy_temp_path {at}/temp;\n\
             fastcgi_temp_path {at}/temp; uwsgi_temp_path {at}/temp; scgi_temp_path {at}/temp;\n\
             server {{ {server} }} }}\n"
        );
        let config = home.join("nginx.conf");
        write(&config, &text)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-p").arg(home).args(["-g", "daemon off;"]);
        self.spawn(command, home, port)?;
        Ok(config)
    }

    fn spawn(&mut self, mut command: Command, home: &Path, port: u16) -> Result<(), Error> {
        let log = home.join("log.txt");
        let failed = |e| Error::io(format!("create {}", log.display()))(e);
        let file = File::create(&log).map_err(failed)?;
        let other = file.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(file).stderr(other);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(Error::io(format!("start {program}")))?;
        self.children.push(child);
        self.ports.push(port);
        Ok(())
    }

    /// Waits until the ports that were not waited for yet take connections.
    async fn until_they_answer(&mut self) -> Result<(), Error> {
        for port in std::mem::take(&mut self.ports) {
            let began = Instant::now();
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                if began.elapsed() > ANSWER_LIMIT {
                    return Err(Error::Stalled("a server for certificates to start"));
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

impl Drop for Edges {
    fn drop(&mut self) {
        for child in &self.children {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                // Asked, and not killed: nginx has processes below it to end.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let asked = Instant::now();
        for child in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) {
                if asked.elapsed() > END_LIMIT {
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A certificate for `name` that nobody vouches for, and its key, as PEM.
fn nobodys(name: &str) -> Result<(String, String), Error> {
    let cannot = |_| Error::Crypto("make a first certificate");
    let key = KeyPair::generate().map_err(cannot)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(cannot)?;
    params.distinguished_name = DistinguishedName::new();
    let certificate = params.self_signed(&key).map_err(cannot)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn create(directory: &Path) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(Error::io(format!("create {}", directory.display())))
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text).map_err(Error::io(format!("write {}", file.display())))
}

const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(5);
