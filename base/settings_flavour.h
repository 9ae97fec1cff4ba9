// Flavours of the database server: which image a backup comes up in, and what that needs besides. A flavour is a property of the
// backup; `stock`, which is POSTGRES_IMAGE, and `pg_durable` are always known, others as the settings name them under `flavours`.
//
// Plain data, read once with the settings. Environments are shown nowhere but hold no secrets all the same: they stand in pod specs.
#ifndef BASE_SETTINGS_FLAVOUR_H
#define BASE_SETTINGS_FLAVOUR_H

#include "base/settings.h"

#define FLAVOUR_NAME_SIZE 64 // a label's value and a NUL
#define FLAVOUR_STOCK "stock"

struct settings_flavour {
	char *name;
	char *image;       // without a tag it gets ":<major>"; NULL: POSTGRES_IMAGE for stock, not to be had for others
	char *pull_secret; // Secret of OPERATOR_NAMESPACE, of type kubernetes.io/dockerconfigjson; NULL: none
	char *label;       // value of the label at Deployment and pods; NULL: the name
	struct settings_pair *environment;
	size_t environment_count;
	char **preload; // shared_preload_libraries; none that is not named here is loaded
	size_t preload_count;
	char **hba; // lines of pg_hba.conf for connections from within the pod
	size_t hba_count;
};

// NULL when nobody knows it. Lives as long as settings.
const struct settings_flavour *settings_find_flavour(const struct settings *settings, const char *name);

// "stock, pg_durable and acme", for people.
MUST_CHECK int settings_flavour_names(const struct settings *settings, struct buf *out, struct error *err);

// What would not work or would undo the quarantine: ERROR_INVALID says which member, its value and what is allowed.
MUST_CHECK int settings_check_flavour(const struct settings_flavour *flavour, struct error *err);

bool settings_is_flavour_name(const char *text);
const char *settings_flavour_label(const struct settings_flavour *flavour);

void settings_flavour_fini(struct settings_flavour *flavour);

#endif
