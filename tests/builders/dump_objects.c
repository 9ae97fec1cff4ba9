// Prints every object that builders/ makes, for each intent, engine and way to the store and with as little and as much set as
// can be, as one JSON array: food for validate.py.
#include "tests/builders/sample.h"
#include <stdio.h>

static int dump(json_t *all, enum settings_intent intent, enum settings_engine engine, enum sample_way way, bool sparse,
	struct error *err)
{
	struct sample s;
	sample_init(&s, intent, settings_engine_text[engine]);
	sample_take_way(&s, way);
	if (engine == ENGINE_PGBACKREST)
		sample_in_azure(&s);
	if (sparse) {
		sample_without_tls(&s);
		s.settings.node_selector_count = s.settings.toleration_count = s.settings.pod_annotation_count = 0;
		s.settings.storage_class = s.settings.s3_endpoint = NULL;
		s.build.sizing = (struct settings_for_intent){0};
		s.build.s3_ca_pem = NULL;
		s.entry.snapshot_id = s.entry.snapshot_at = NULL;
		s.round.run_id = NULL;
		s.restored.bytes = s.restored.files = -1;
	}
	AUTO(json) json_t *objects = NULL;
	if (sample_objects(&s, &objects, err) != 0)
		return -1;
	return json_array_extend(all, objects) == 0 ? 0 : error_no_memory(err, "objects");
}

int main(void)
{
	struct error err = {0};
	AUTO(json) json_t *all = json_array();
	for (int intent = 0; intent < INTENT_COUNT; intent++) {
		for (int variant = 0; variant < 4 * WAY_COUNT; variant++) {
			enum settings_engine engine = variant % 2 == 0 ? ENGINE_KOPIA : ENGINE_RESTIC;
			bool is_sparse = variant / 2 % 2 == 1;
			if (dump(all, (enum settings_intent)intent, engine, (enum sample_way)(variant / 4), is_sparse, &err) !=
				0) {
				(void)fprintf(stderr, "dump_objects: %s\n", err.text);
				return 1;
			}
		}
	}
	if (dump(all, INTENT_VERIFY, ENGINE_PGBACKREST, WAY_DIRECT, false, &err) != 0) {
		(void)fprintf(stderr, "dump_objects: %s\n", err.text);
		return 1;
	}
	return json_dumpf(all, stdout, JSON_INDENT(1)) == 0 ? 0 : 1;
}
