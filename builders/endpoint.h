// Where pods go: the S3 server or Azure's blob service, and the operator's broker, as URLs and ports.
#ifndef BUILDERS_ENDPOINT_H
#define BUILDERS_ENDPOINT_H

#include "builders/objects.h"

#define ENDPOINT_SIZE 512

// The CA of the S3 server in a restore pod, when s3_ca_file is set: a volume, where it is mounted, and the file in it.
#define ENDPOINT_CA_VOLUME "s3-ca"
#define ENDPOINT_CA_MOUNT "/run/understory-s3-ca"
#define ENDPOINT_CA_FILE "ca.crt"

// S3_ENDPOINT without slashes at its end, or https://s3.<region>.amazonaws.com. ERROR_INVALID when it does not fit.
MUST_CHECK int endpoint_s3(const struct build *b, char out[ENDPOINT_SIZE], struct error *err);

// The blob service of the entry's storage account: its `endpoint` without slashes at its end, or
// https://<account>.blob.core.windows.net. ERROR_INVALID when it does not fit, is not https, or does not name the account where
// Azure has it: as the first label of the host, or as the path.
MUST_CHECK int endpoint_azure(const struct build *b, char out[ENDPOINT_SIZE], struct error *err);

// The one or the other, as the entry's storage is.
MUST_CHECK int endpoint_store(const struct build *b, char out[ENDPOINT_SIZE], struct error *err);

// The TCP port that a restore connects to for the entry's backup, from the URL of its store or the URL's scheme.
MUST_CHECK int endpoint_store_port(const struct build *b, int *port, struct error *err);

// Has the entry's store a CA of its own, which restore pods are given? Azure's public cloud has not, whatever S3_CA_FILE says.
bool endpoint_has_own_ca(const struct build *b);

// PGRO_BROKER_URL without slashes at its end, or https://<service>.<namespace>.svc:9091. ERROR_INVALID when it does not fit.
MUST_CHECK int endpoint_broker(const struct settings *settings, char out[ENDPOINT_SIZE], struct error *err);
MUST_CHECK int endpoint_broker_port(const struct settings *settings, int *port, struct error *err);

#endif
