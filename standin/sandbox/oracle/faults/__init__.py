"""Faults on demand: what goes wrong in a real Oracle database, as a list that a test sets through SQL.

begin sandbox_faults.add_error(code => 1291, statement => 'start_logmnr', times => 2); end;
"""
