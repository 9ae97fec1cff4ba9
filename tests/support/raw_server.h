// A server of bare connections, plain or TLS (OpenSSL), for what a well-behaved server never does: half an answer, a reset,
// silence.
//
// Loopback, a port of its own, one connection after the other on one thread. The script is called for each connection, which is
// closed when it returns.
#ifndef TESTS_SUPPORT_RAW_SERVER_H
#define TESTS_SUPPORT_RAW_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct raw_server;
struct raw_connection;

typedef void (*raw_script)(void *arg, struct raw_connection *connection, int number); // from 0

struct raw_server_tls {
	const char *cert_pem; // NULL: plain
	const char *key_pem;
	const char *client_ca_pem; // ask for a client certificate of this CA and refuse any other; may be NULL
	int max_version;           // of TLS (TLS1_1_VERSION); 0 for any
	const char *alpn;          // the protocol to choose when the client offers it (h2); NULL: none
};

struct raw_server *raw_server_start(raw_script script, void *arg, const struct raw_server_tls *tls);
void raw_server_stop(struct raw_server *server);
int raw_server_port(const struct raw_server *server);
int raw_server_connections(struct raw_server *server); // that were accepted so far
int raw_server_requests(struct raw_server *server);    // that were read so far

// Read one request (head, and a body by its Content-Length) into out, cut at size. False at the end of the connection.
bool raw_read_request(struct raw_connection *connection, char *out, size_t size);
bool raw_read(struct raw_connection *connection, unsigned char *out, size_t len); // exactly len bytes
void raw_write_bytes(struct raw_connection *connection, const void *bytes, size_t len);
void raw_write(struct raw_connection *connection, const char *text);

// Say nothing until the client goes or the server stops.
void raw_hold(struct raw_connection *connection);

// Carry bytes to and from a port of loopback, until either side ends.
void raw_relay(struct raw_connection *connection, int port);

// Close with a reset instead of an end.
void raw_reset(struct raw_connection *connection);

// The name that the client asked for (SNI), and the subject of its certificate; "" when there is none.
const char *raw_sni(struct raw_connection *connection);
void raw_client_subject(struct raw_connection *connection, char *out, size_t size);

#endif
