//! Where a certificate says that its revocation can be asked about: CRL distribution points (RFC 5280
//! §4.2.1.13) and OCSP responders (§4.2.2.1). Nothing is fetched here.

use const_oid::db::rfc5912::ID_AD_OCSP;
use der::Decode;
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, CrlDistributionPoints};

use crate::authority::is_http;
use crate::certificate::{BadCertificate, Certificate};

/// Where to ask about the revocation of one certificate: `http://` URLs, in the order in which it
/// names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointers {
    /// CRLs of its issuer that cover every reason.
    pub crl: Vec<String>,
    /// OCSP responders.
    pub ocsp: Vec<String>,
}

impl Pointers {
    /// What `certificate` says. Other schemes, points of other issuers and points for some reasons
    /// are passed over.
    ///
    /// # Errors
    /// [`BadCertificate`] when one of the two extensions is malformed or there twice.
    pub fn of(certificate: &Certificate) -> Result<Self, BadCertificate> {
        let tbs = TbsCertificate::from_der(certificate.tbs())?;
        let points = tbs.get_extension::<CrlDistributionPoints>()?;
        let points = points.map(|(_, CrlDistributionPoints(points))| points).unwrap_or_default();
        let access = tbs.get_extension::<AuthorityInfoAccessSyntax>()?;
        let access = access.map(|(_, AuthorityInfoAccessSyntax(all))| all).unwrap_or_default();
        let whole =
            |point: &&DistributionPoint| point.crl_issuer.is_none() && point.reasons.is_none();
        let crl = points.iter().filter(whole).filter_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => Some(names),
            _ => None,
        });
        let ocsp = access.iter().filter(|entry| entry.access_method == ID_AD_OCSP);
        Ok(Self {
            crl: crl.flatten().filter_map(http).collect(),
            ocsp: ocsp.filter_map(|entry| http(&entry.access_location)).collect(),
        })
    }
}

fn http(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(url) if is_http(url.as_str()) => {
            Some(url.as_str().to_owned())
        }
        _ => None,
    }
}
