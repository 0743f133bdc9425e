// What Go's readers say: of packages (PKCS #12), and of certificates and a CRL. Takes the name of a
// JSON file with a Request, prints a Report; a problem is a text, the empty text none.
package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"time"

	zcryptox509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
	xpkcs12 "golang.org/x/crypto/pkcs12"
	sslmate "software.sslmate.com/src/go-pkcs12"
)

type Request struct {
	Packages []struct {
		File, Password, Certificate string
	}
	Authority, RevocationList string
	Certificates              []string
	At                        int64
}

type Report struct {
	// By package: golang.org/x/crypto/pkcs12, software.sslmate.com/src/go-pkcs12.
	X, Sslmate []string
	// By certificate.
	Verified []string
	Revoked  []bool
	// The CRL's signature and form.
	List string
	// By lint, of the certificates and the CA's certificate; those of the list.
	Lints, ListLints map[string]string
	// How many lints there were.
	Asked int
}

func read(name string) []byte {
	content, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return content
}

// text is the error's, or the complaint that the package holds other things than it should.
func text(err error, key any, certificate *x509.Certificate, expected []byte) string {
	if err != nil {
		return err.Error()
	}
	if !bytes.Equal(certificate.Raw, expected) {
		return "another certificate"
	}
	public := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if signer, ok := key.(crypto.Signer); !ok || !public.Equal(signer.Public()) {
		return "another key"
	}
	return ""
}

// All lints but those of the programs that public CAs take part in: ours is private.
func registry() lint.Registry {
	filtered, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813, lint.Community,
	}})
	if err != nil {
		panic(err)
	}
	return filtered
}

func lints(into map[string]string, results *zlint.ResultSet) {
	for name, result := range results.Results {
		if result.Status >= lint.Notice {
			into[name] = fmt.Sprintf("%s %s", result.Status, result.Details)
		}
	}
}

func main() {
	var request Request
	if err := json.Unmarshal(read(os.Args[1]), &request); err != nil {
		panic(err)
	}
	report := Report{Lints: map[string]string{}, ListLints: map[string]string{}}
	for _, p := range request.Packages {
		pfx, expected := read(p.File), read(p.Certificate)
		key, certificate, err := xpkcs12.Decode(pfx, p.Password)
		report.X = append(report.X, text(err, key, certificate, expected))
		key, certificate, err = sslmate.Decode(pfx, p.Password)
		report.Sslmate = append(report.Sslmate, text(err, key, certificate, expected))
	}
	authority, err := x509.ParseCertificate(read(request.Authority))
	if err != nil {
		panic(err)
	}
	list, err := x509.ParseRevocationList(read(request.RevocationList))
	if err == nil {
		err = list.CheckSignatureFrom(authority)
	}
	if err != nil {
		report.List = err.Error()
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	options := x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: time.Unix(request.At, 0),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, name := range request.Certificates {
		certificate, err := x509.ParseCertificate(read(name))
		if err == nil {
			_, err = certificate.Verify(options)
		}
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		report.Verified = append(report.Verified, problem)
		revoked := false
		for _, entry := range list.RevokedCertificateEntries {
			revoked = revoked || entry.SerialNumber.Cmp(certificate.SerialNumber) == 0
		}
		report.Revoked = append(report.Revoked, revoked)
	}
	for _, name := range append(request.Certificates, request.Authority) {
		certificate, err := zcryptox509.ParseCertificate(read(name))
		if err != nil {
			panic(err)
		}
		lints(report.Lints, zlint.LintCertificateEx(certificate, registry()))
	}
	revocationList, err := zcryptox509.ParseRevocationList(read(request.RevocationList))
	if err != nil {
		panic(err)
	}
	lints(report.ListLints, zlint.LintRevocationListEx(revocationList, registry()))
	report.Asked = len(registry().Names())
	json.NewEncoder(os.Stdout).Encode(report)
}
