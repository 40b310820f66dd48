"""What only the database can promise: events are never changed or deleted, and case numbers are never given twice."""

from django.db import migrations

GUARD = """
create function kommunpost_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the event log is append-only: % on % is refused', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete on worker_event
    for each row execute function kommunpost_append_only();
create trigger append_only_all before truncate on worker_event
    for each statement execute function kommunpost_append_only();
create trigger append_only before update or delete on worker_seal
    for each row execute function kommunpost_append_only();
create trigger append_only_all before truncate on worker_seal
    for each statement execute function kommunpost_append_only();
"""
UNGUARD = """
drop trigger append_only on worker_event;
drop trigger append_only_all on worker_event;
drop trigger append_only on worker_seal;
drop trigger append_only_all on worker_seal;
drop function kommunpost_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("worker", "0001_initial")]

    operations = [
        migrations.RunSQL(GUARD, UNGUARD),
        migrations.RunSQL("create sequence case_numbers", "drop sequence case_numbers"),
    ]
