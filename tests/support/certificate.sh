# shellcheck shell=bash
# A CA of a test's own and what a store shows, for tests that speak TLS. To be sourced.

# make_certificate FOLDER NAMES: FOLDER/ca.crt (anybody may read it) and ca.key; FOLDER/store.crt and store.key for NAMES, as
# subjectAltName has them: DNS:localhost,IP:127.0.0.1.
make_certificate()
{
	(
		cd "$1" || exit
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=CA of a test' -days 2 \
			-addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.crt &&
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=store -keyout store.key -out store.csr &&
			openssl x509 -req -in store.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out store.crt \
				-extfile <(echo "subjectAltName=$2") && chmod 644 ca.crt
	) 2>"$1/openssl.log"
}
