//! What a relying party sees of an issued chain: does it verify, whose names has it, is it
//! revoked. OpenSSL and GnuTLS judge; we only compare.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use der::{Decode, EncodePem};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{CrlDistributionPoints, SubjectAltName};

use crate::lint;
use crate::program::{program, run, succeed};
use crate::server::{Issuer, download};

/// A leaf and its issuers, as a client received them.
#[derive(Debug)]
pub(crate) struct Chain {
    certificates: Vec<Certificate>,
    /// One PEM file for each certificate, the leaf first.
    files: Vec<PathBuf>,
    home: PathBuf,
}

impl Chain {
    /// Reads `pem` and demands that it is a chain to the issuer's root, with exactly `names` (DNS
    /// names or addresses) in the leaf. Copies go to `pem`'s directory.
    pub(crate) fn check(issuer: &Issuer, pem: &Path, names: &[&str]) -> Self {
        let text = fs::read(pem).unwrap_or_else(|e| panic!("{}: {e}", pem.display()));
        let certificates = Certificate::load_pem_chain(&text).expect("a PEM chain");
        let home = pem.parent().expect("a file has a directory").to_owned();
        let files = certificates.iter().map(|one| write_pem(&home, one)).collect();
        let chain = Self { certificates, files, home };
        assert!(chain.files.len() > 1, "the chain must have the issuer: {}", pem.display());
        let mut wanted: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        wanted.sort();
        assert_eq!(chain.names(), wanted, "names in {}", pem.display());
        chain.verify(issuer);
        if issuer.is_ours() {
            chain.lint();
        }
        chain
    }

    /// The leaf's serial, in hexadecimal.
    pub(crate) fn serial(&self) -> String {
        HEXLOWER.encode(self.leaf().tbs_certificate().serial_number().as_bytes())
    }

    /// The leaf alone, as a PEM file. Clients rename what they have revoked: this is theirs.
    pub(crate) fn leaf_file(&self) -> PathBuf {
        let file = self.home.join(format!("{}-given.pem", self.serial()));
        concatenate(&self.files[..1], &file);
        file
    }

    /// The last second of the leaf's validity, since 1970.
    pub(crate) fn not_after(&self) -> i64 {
        let end = self.leaf().tbs_certificate().validity().not_after.to_unix_duration();
        i64::try_from(end.as_secs()).expect("before the end of time")
    }

    /// The leaf.
    pub(crate) fn leaf(&self) -> &Certificate {
        &self.certificates[0]
    }

    /// Demands that the leaf is revoked: that the CRL it points to lists it, is signed by its
    /// issuer, and makes OpenSSL refuse it. Ten seconds may pass until then.
    pub(crate) fn assert_revoked(&self, issuer: &Issuer) {
        if let Some(status) = issuer.peer_status(&self.serial()) {
            assert!(status.contains("Revoked"), "{status}");
            return;
        }
        let crl = self.wait_for_crl(|listed| listed);
        succeed(program("openssl").args(["crl", "-inform", "DER", "-noout", "-CAfile"]).args([
            &self.issuers_and_root(issuer),
            Path::new("-in"),
            &crl,
        ]));
        lint::crl(&crl);
        let pem = crl.with_extension("crl.pem");
        let convert = ["crl", "-inform", "DER", "-in"];
        succeed(program("openssl").args(convert).arg(&crl).arg("-out").arg(&pem));
        succeed(
            program("certtool")
                .args(["--verify-crl", "--load-ca-certificate"])
                .arg(&self.files[1])
                .arg("--infile")
                .arg(&pem),
        );
        let mut command = self.openssl_verify(issuer);
        let (output, text) =
            run(command.args(["-crl_check", "-CRLfile"]).args([&pem, &self.files[0]]));
        assert!(!output.status.success() && text.contains("certificate revoked"), "{text}");
    }

    /// Demands that the CRL is there and does not list the leaf.
    pub(crate) fn assert_not_revoked(&self, issuer: &Issuer) {
        if issuer.is_ours() {
            self.wait_for_crl(|listed| !listed);
        }
    }

    fn verify(&self, issuer: &Issuer) {
        succeed(
            self.openssl_verify(issuer)
                .args(["-x509_strict", "-purpose", "sslserver"])
                .arg(&self.files[0]),
        );
        let whole = self.home.join(format!("{}-whole.pem", self.serial()));
        concatenate(&self.files, &whole);
        succeed(
            program("certtool")
                .args(["--verify", "--load-ca-certificate"])
                .arg(&issuer.root)
                .arg("--infile")
                .arg(&whole),
        );
    }

    fn openssl_verify(&self, issuer: &Issuer) -> std::process::Command {
        let mut command = program("openssl");
        command.args(["verify", "-no-CApath", "-no-CAstore", "-CAfile"]).arg(&issuer.root);
        for file in &self.files[1..] {
            command.arg("-untrusted").arg(file);
        }
        command
    }

    fn lint(&self) {
        self.files.iter().for_each(|file| lint::certificate(file));
        for pair in self.files.windows(2) {
            lint::pair(&pair[1], &pair[0]);
        }
    }

    fn issuers_and_root(&self, issuer: &Issuer) -> PathBuf {
        let file = self.home.join(format!("{}-issuers.pem", self.serial()));
        let mut all = self.files[1..].to_vec();
        all.push(issuer.root.clone());
        concatenate(&all, &file);
        file
    }

    /// The names in the leaf, sorted.
    fn names(&self) -> Vec<String> {
        let found = self.leaf().tbs_certificate().get_extension::<SubjectAltName>();
        let Ok(Some((_, names))) = found else { panic!("no subjectAltName") };
        let name = |name: &GeneralName| match name {
            GeneralName::DnsName(name) => name.to_string(),
            GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
                &[a, b, c, d] => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
                other => HEXLOWER.encode(other),
            },
            other => panic!("a name of another kind: {other:?}"),
        };
        let mut names: Vec<_> = names.0.iter().map(name).collect();
        names.sort();
        names
    }

    /// Downloads the CRL again and again until whether it lists the leaf satisfies `enough`.
    fn wait_for_crl(&self, enough: impl Fn(bool) -> bool) -> PathBuf {
        let url = self.crl_url();
        let file = self.home.join(format!("{}.crl", self.serial()));
        let begun = Instant::now();
        loop {
            let listed = download(&url, &file).map(|()| {
                let der = fs::read(&file).expect("the CRL");
                let crl = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&der);
                let crl = crl.unwrap_or_else(|e| panic!("{url}: {e}"));
                let entries = crl.tbs_cert_list.revoked_certificates.unwrap_or_default();
                let serial = self.leaf().tbs_certificate().serial_number();
                entries.iter().any(|entry| entry.serial_number == *serial)
            });
            if listed.is_some_and(&enough) {
                return file;
            }
            let patient = begun.elapsed() < Duration::from_secs(10);
            assert!(patient, "{url}: {listed:?} for serial {}", self.serial());
            sleep(Duration::from_millis(200));
        }
    }

    /// The http URL of the CRL distribution point (RFC 5280 §4.2.1.13).
    fn crl_url(&self) -> String {
        let found = self.leaf().tbs_certificate().get_extension::<CrlDistributionPoints>();
        let Ok(Some((_, points))) = found else { panic!("no CRL distribution point") };
        let url = points.0.iter().find_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => names.iter().find_map(|n| match n {
                GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
                _ => None,
            }),
            _ => None,
        });
        let url = url.expect("a URL in the CRL distribution point");
        assert!(url.starts_with("http://"), "{url}: CRLs are fetched without TLS");
        url
    }
}

fn write_pem(home: &Path, certificate: &Certificate) -> PathBuf {
    let serial = HEXLOWER.encode(certificate.tbs_certificate().serial_number().as_bytes());
    let file = home.join(format!("{serial}.pem"));
    let pem = certificate.to_pem(der::pem::LineEnding::LF).expect("PEM");
    fs::write(&file, pem).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    file
}

fn concatenate(files: &[PathBuf], to: &Path) {
    let all: String = files.iter().map(|f| fs::read_to_string(f).expect("a PEM file")).collect();
    fs::write(to, all).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
}

#[cfg(test)]
mod tests {
    //! The judges themselves, before a chain and a CRL that were made here.

    use std::net::Ipv4Addr;

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
        CrlDistributionPoint, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
        KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
        date_time_ymd,
    };

    use super::*;
    use crate::program::free_port;
    use crate::scene::Home;
    use crate::web;

    #[test]
    fn a_revoked_leaf_is_seen_to_be_revoked() {
        let (_home, issuer, pem) = made("chain-revoked", true, true);
        Chain::check(&issuer, &pem, &["127.0.0.1", NAME]).assert_revoked(&issuer);
    }

    #[test]
    fn a_leaf_that_is_not_listed_is_not() {
        let (_home, issuer, pem) = made("chain-listed", false, true);
        Chain::check(&issuer, &pem, &["127.0.0.1", NAME]).assert_not_revoked(&issuer);
    }

    #[test]
    #[should_panic(expected = "for serial")]
    fn a_revocation_that_does_not_show_fails() {
        let (_home, issuer, pem) = made("chain-hidden", false, true);
        Chain::check(&issuer, &pem, &["127.0.0.1", NAME]).assert_revoked(&issuer);
    }

    #[test]
    #[should_panic(expected = "names in")]
    fn a_missing_name_fails() {
        let (_home, issuer, pem) = made("chain-names", false, true);
        Chain::check(&issuer, &pem, &[NAME]);
    }

    #[test]
    #[should_panic(expected = "pkix.certificate_skid_end_entity_missing")]
    fn the_linter_fails_a_leaf_without_key_identifier() {
        let (_home, issuer, pem) = made("chain-lint", false, false);
        Chain::check(&issuer, &pem, &["127.0.0.1", NAME]);
    }

    /// A root, an issuing authority, a leaf that is `revoked` or not, and a web server with the
    /// CRL. The leaf names its own key or, not being `good`, does not.
    fn made(name: &str, revoked: bool, good: bool) -> (Home, Issuer, PathBuf) {
        let home = Home::clear(name);
        let files = home.directory("pki");
        let port = free_port();
        web::serve_files(&files, "/", port);
        let root = CertifiedIssuer::self_signed(authority("Root"), key()).expect("a root");
        let issuing = CertifiedIssuer::signed_by(authority("Issuing"), key(), &root);
        let issuing = issuing.expect("an issuing authority");
        let mut params = CertificateParams::new([NAME.to_owned()]).expect("a name");
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names.push(rcgen::SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.is_ca = if good { IsCa::ExplicitNoCa } else { IsCa::NoCa };
        let uris = vec![format!("http://127.0.0.1:{port}/issuing.crl")];
        params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
        let serial = SerialNumber::from(0x0123_4567_89ab_cdef_u64);
        params.serial_number = Some(serial.clone());
        let leaf = params.signed_by(&key(), &issuing).expect("a leaf");
        let entry = RevokedCertParams {
            serial_number: serial,
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: Some(RevocationReason::Superseded),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2049, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: if revoked { vec![entry] } else { Vec::new() },
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&issuing).expect("a CRL");
        fs::write(files.join("issuing.crl"), list.der()).expect("the CRL");
        fs::write(files.join("root.pem"), root.pem()).expect("the root");
        let pem = files.join("chain.pem");
        fs::write(&pem, leaf.pem() + &issuing.pem()).expect("the chain");
        (home, Issuer::with_crl(files.join("root.pem")), pem)
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        params
    }

    fn key() -> KeyPair {
        KeyPair::generate().expect("a key")
    }

    const NAME: &str = "judged.example.test";
}
