import time
def test_prof(postgres, migrated):
    a = postgres.admin
    print(a.execute("select version()"), a.execute(f"select pg_size_pretty(pg_database_size('{migrated}'))"))
    for s in ("wal_log","file_copy")*4:
        t=time.time(); c=a.execute(f"CREATE DATABASE t_{s} TEMPLATE {migrated} STRATEGY {s}"); t1=time.time(); a.execute(f"drop database t_{s} with (force)"); print(s, round(t1-t,3), round(time.time()-t1,3))
