#!/usr/bin/env bash
# What docs/oracle.md asks of a database: ARCHIVELOG mode, forced and supplemental logging, the PDBs open.
# Runs inside the container, as the owner of the database.
set -euo pipefail

sqlplus -s / as sysdba <<'SQL'
whenever sqlerror exit failure
shutdown immediate
startup mount
alter database archivelog;
alter database open;
alter pluggable database all open;
alter database force logging;
alter database add supplemental log data;
archive log list
SQL
