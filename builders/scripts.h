// The scripts that run in the pods, as they are shipped: parts from builders/scripts and builders/engines, put together without
// comments by scripts/embed.sh at build time. scripts/list says which, one a line.
#ifndef BUILDERS_SCRIPTS_H
#define BUILDERS_SCRIPTS_H

extern const char script_restore_restic[];
extern const char script_restore_kopia[];
extern const char script_restore_basebackup[];
extern const char script_restore_basebackup_azure[];
extern const char script_restore_basebackup_azure_identity[];
extern const char script_restore_basebackup_file[];
extern const char script_restore_dump[];
extern const char script_restore_dump_azure[];
extern const char script_restore_dump_azure_identity[];
extern const char script_restore_dump_file[];
extern const char script_restore_walg[];
extern const char script_prepare_dump[];
extern const char script_restore_pgbackrest[];
extern const char script_prepare[];
extern const char script_postgres[];

#endif
