//! Servers that a managed certificate goes to: nginx, Apache and HAProxy as Debian has them, each in
//! a directory of its own, with a certificate of nobody's until Perennial brings one. Each knows the
//! `[[target]]` table that an operator would write for it.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Signal, geteuid};

use super::stage::NAME;
use crate::program::{Daemon, free_port};

/// An nginx that reads `tls/current`.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) home: PathBuf,
    pub(super) address: SocketAddr,
    _daemon: Daemon,
}

impl Nginx {
    /// Starts one on a free port.
    pub(super) fn start(home: PathBuf) -> Self {
        Self::start_at(home, here())
    }

    /// Starts one on `address`.
    pub(super) fn start_at(home: PathBuf, address: SocketAddr) -> Self {
        Self::listening(home, address, "ssl")
    }

    /// Starts one on `address`, which it shares with others: each gets a part of the connections.
    pub(super) fn start_sharing(home: PathBuf, address: SocketAddr) -> Self {
        Self::listening(home, address, "ssl reuseport")
    }

    fn listening(home: PathBuf, address: SocketAddr, how: &str) -> Self {
        let release = home.join("tls/releases/0");
        fs::create_dir_all(&release).expect("a release");
        let (certificate, key) = nobodys(NAME);
        write(&release.join("tls.crt"), &certificate);
        write(&release.join("tls.key"), &key);
        symlink("releases/0", home.join("tls/current")).expect("a link");
        configure_nginx(&home, address, how, NAME, "");
        let config = home.join("nginx.conf");
        let arguments = ["-c".as_ref(), config.as_os_str(), "-p".as_ref(), home.as_os_str()];
        let mut daemon = Daemon::start("nginx", arguments, &home);
        daemon.wait("nginx", || listens(address));
        Self { home, address, _daemon: daemon }
    }

    /// Writes its configuration anew: it knows `names`, and has `more` besides.
    pub(super) fn configure(&self, names: &str, more: &str) {
        configure_nginx(&self.home, self.address, "ssl", names, more);
    }

    /// Its table, as a target of kind `nginx`.
    pub(super) fn table(&self, name: &str, more: &str) -> String {
        format!(
            "[[target]]\nname = {name:?}\nkind = \"nginx\"\ndirectory = {:?}\nbinary = {NGINX:?}\n\
             config = {:?}\nprefix = {:?}\nprobe = [\"{}\"]\n{more}\n",
            self.home.join("tls"),
            self.home.join("nginx.conf"),
            self.home,
            self.address,
        )
    }

    /// The argument list that makes it reload.
    pub(super) fn reload(&self) -> String {
        let (home, config) = (self.home.display(), self.home.join("nginx.conf"));
        format!("{NGINX} -c {} -p {home} -s reload", config.display())
    }
}

fn configure_nginx(home: &Path, address: SocketAddr, how: &str, names: &str, more: &str) {
    let text = format!(
        "worker_processes 2;\ndaemon off;\nerror_log {home}/error.log;\npid {home}/nginx.pid;\n\
         events {{ worker_connections 256; }}\nhttp {{ access_log off;\n\
         client_body_temp_path {home}/temp; proxy_temp_path {home}/temp;\n\
         fastcgi_temp_path {home}/temp; uwsgi_temp_path {home}/temp; scgi_temp_path {home}/temp;\n\
         {more}\nserver {{ listen {address} {how}; server_name {names};\n\
         ssl_certificate {home}/tls/current/tls.crt;\n\
         ssl_certificate_key {home}/tls/current/tls.key;\nreturn 200; }} }}\n",
        home = home.display()
    );
    write(&home.join("nginx.conf"), &text);
}

/// An Apache that reads `shop.crt` and `shop.key`.
#[derive(Debug)]
pub(super) struct Apache {
    pub(super) home: PathBuf,
    pub(super) address: SocketAddr,
    daemon: Daemon,
}

impl Apache {
    /// Starts one on a free port.
    pub(super) fn start(home: PathBuf) -> Self {
        let address = here();
        let (certificate, key) = nobodys(NAME);
        write(&home.join("shop.crt"), &certificate);
        write(&home.join("shop.key"), &key);
        let user = if geteuid().is_root() { "User nobody\nGroup nogroup\n" } else { "" };
        let text = format!(
            "ServerRoot {home}\nServerName localhost\n{user}PidFile {home}/apache.pid\n\
             ErrorLog {home}/error.log\nMutex pthread\n\
             LoadModule mpm_event_module {MODULES}/mod_mpm_event.so\n\
             LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
             LoadModule ssl_module {MODULES}/mod_ssl.so\n\
             Listen {address}\n<VirtualHost {address}>\nServerName {NAME}\nSSLEngine on\n\
             SSLCertificateFile {home}/shop.crt\nSSLCertificateKeyFile {home}/shop.key\n\
             </VirtualHost>\n",
            home = home.display()
        );
        write(&home.join("apache.conf"), &text);
        let config = home.join("apache.conf");
        let arguments = ["-f".as_ref(), config.as_os_str(), "-DFOREGROUND".as_ref()];
        let mut daemon = Daemon::start("apache2", arguments, &home);
        daemon.wait("Apache", || listens(address));
        // It listens before it has read its configuration for the second time.
        let pid = home.join("apache.pid");
        daemon.wait("Apache's pid file", || pid.exists().then_some(()));
        Self { home, address, daemon }
    }

    /// Its table.
    pub(super) fn table(&self, name: &str, more: &str) -> String {
        self.table_with(name, Path::new(APACHE), more)
    }

    /// Its table with another program that tests the configuration.
    pub(super) fn table_with(&self, name: &str, binary: &Path, more: &str) -> String {
        format!(
            "[[target]]\nname = {name:?}\nkind = \"apache\"\npath = {:?}\nkey_path = {:?}\n\
             binary = {binary:?}\nconfig = {:?}\nprobe = [\"{}\"]\n{more}\n",
            self.home.join("shop.crt"),
            self.home.join("shop.key"),
            self.home.join("apache.conf"),
            self.address,
        )
    }

    /// Demands that its parent process still runs.
    pub(super) fn assert_alive(&mut self) {
        self.daemon.wait("Apache's parent", || Some(()));
        let id = fs::read_to_string(self.home.join("apache.pid")).expect("a pid file");
        assert_eq!(id.trim(), self.daemon.id().to_string());
        let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim())).expect("it runs");
        assert!(!stat.contains(") Z "), "{stat}");
    }
}

/// A HAProxy with `shop.pem`, and by default `other.pem`.
#[derive(Debug)]
pub(super) struct Haproxy {
    pub(super) home: PathBuf,
    pub(super) address: SocketAddr,
    daemon: Option<Daemon>,
}

impl Haproxy {
    /// Starts one on a free port.
    pub(super) fn start(home: PathBuf) -> Self {
        let address = here();
        let mut list = String::new();
        for (file, name) in [("other.pem", "other.test"), ("shop.pem", NAME)] {
            let (certificate, key) = nobodys(name);
            write(&home.join(file), &(certificate + &key));
            list += &format!("{}\n", home.join(file).display());
        }
        write(&home.join("list"), &list);
        let text = format!(
            "global\n stats socket {home}/admin.sock mode 600 level admin\n stats timeout 30s\n\
             defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 1s\n\
             frontend f\n bind {address} ssl crt-list {home}/list\n http-request return status 200\n",
            home = home.display()
        );
        write(&home.join("haproxy.cfg"), &text);
        let mut haproxy = Self { home, address, daemon: None };
        haproxy.begin();
        haproxy
    }

    /// Starts it again.
    pub(super) fn begin(&mut self) {
        let file = |name| self.home.join(name).into_os_string();
        let arguments =
            ["-W".into(), "-S".into(), file("master.sock"), "-f".into(), file("haproxy.cfg")];
        let mut daemon = Daemon::start("haproxy", arguments, &self.home);
        let address = self.address;
        daemon.wait("HAProxy", || listens(address));
        let socket = self.home.join("admin.sock");
        daemon.wait("HAProxy's socket", || UnixStream::connect(&socket).ok().map(drop));
        self.daemon = Some(daemon);
    }

    /// Stops it.
    pub(super) fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.end(Signal::TERM);
        }
    }

    /// Its table.
    pub(super) fn table(&self, name: &str, more: &str) -> String {
        format!(
            "[[target]]\nname = {name:?}\nkind = \"haproxy\"\nsocket = {:?}\npath = {:?}\n\
             probe = [\"{}\"]\ntimeout = \"3s\"\n{more}\n",
            self.home.join("admin.sock"),
            self.home.join("shop.pem"),
            self.address,
        )
    }

    /// What an operator says to it by hand, and its reply.
    pub(super) fn say(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.home.join("admin.sock")).expect("the socket");
        socket.write_all(command.as_bytes()).expect("sent");
        let mut reply = String::new();
        socket.read_to_string(&mut reply).expect("a reply");
        reply
    }

    /// Begins to replace one of its certificates by nobody's for `name`.
    pub(super) fn stage(&self, file: &str, name: &str) {
        let (certificate, key) = nobodys(name);
        let path = self.home.join(file);
        let reply = self.say(&format!("set ssl cert {} <<\n{certificate}{key}\n", path.display()));
        assert!(reply.contains("Transaction created"), "{reply}");
    }

    /// Replaces its certificate for the shop by nobody's, behind Perennial's back.
    pub(super) fn meddle(&self) {
        self.stage("shop.pem", NAME);
        let path = self.home.join("shop.pem");
        let reply = self.say(&format!("commit ssl cert {}\n", path.display()));
        assert!(reply.contains("Success!"), "{reply}");
    }
}

/// A certificate that vouches for itself, and its key.
pub(super) fn nobodys(name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// Writes a script that can be run.
pub(super) fn script(path: &Path, text: &str) {
    write(path, text);
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("permissions");
}

/// Writes a file only we may read.
pub(super) fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("permissions");
}

/// A free port on loopback.
pub(super) fn here() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

fn listens(address: SocketAddr) -> Option<()> {
    std::net::TcpStream::connect(address).ok().map(drop)
}

const NGINX: &str = "/usr/sbin/nginx";
pub(super) const APACHE: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
