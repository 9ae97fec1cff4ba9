#include "reconciler/flavour.h"

#include <string.h>

static int unknown(const struct settings *settings, const char *name, struct error *err)
{
	AUTO(buf) struct buf names;
	buf_init(&names, ERROR_TEXT_MAX);
	struct error ignored;
	bool is_listed = settings_flavour_names(settings, &names, &ignored) == 0;
	return error_set(err, ERROR_INVALID,
		"flavour \"%.63s\" of the backup is not known: the settings know %s (hint: flavours.%.63s)", name,
		is_listed ? buf_str(&names) : "others", name);
}

int flavour_choose(const struct round_view *v, const char *said, const struct settings_flavour **out, struct error *err)
{
	const char *wished = v->sizing.flavour;
	const char *name = said[0] != '\0'                  ? said
			   : wished != NULL                 ? wished
			   : v->replica->flavour[0] != '\0' ? v->replica->flavour
							    : FLAVOUR_STOCK;
	const struct settings_flavour *found = settings_find_flavour(v->settings, name);
	if (wished != NULL && strcmp(wished, name) != 0)
		return error_set(
			err, ERROR_INVALID, "the backup is of flavour \"%.63s\", its entry says \"%.63s\"", name, wished);
	if (found == NULL)
		return unknown(v->settings, name, err);
	if (found->image == NULL && strcmp(name, FLAVOUR_STOCK) != 0)
		return error_set(err, ERROR_INVALID, "flavour \"%s\" has no image: set flavours.%s.image", name, name);
	*out = found;
	return 0;
}
