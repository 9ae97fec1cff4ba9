// Certificates for tests, made on the spot: EC P-256, good for an hour.
#ifndef TESTS_SUPPORT_PKI_H
#define TESTS_SUPPORT_PKI_H

struct pki_cert {
	char *cert_pem;
	char *key_pem;
};

// A CA, or a certificate that it signed. san as OpenSSL writes it ("DNS:api.test,IP:127.0.0.1"), NULL for none. The caller frees
// with pki_cert_fini(). Any failure ends the test program.
struct pki_cert pki_make_ca(const char *common_name);
struct pki_cert pki_make_leaf(const struct pki_cert *ca, const char *common_name, const char *san);
void pki_cert_fini(struct pki_cert *cert);

#endif
