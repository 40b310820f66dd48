/* Keys, claim and source, small disclosures. No dependency; every page works without it. Nothing of a mail is kept. */
(() => {
  const root = document.documentElement;
  const store = {
    get: k => { try { return localStorage.getItem(k); } catch { return null; } },
    set: (k, v) => { try { localStorage.setItem(k, v); } catch { /* private mode */ } },
  };
  root.classList.add('js');

  const $ = (s, at = document) => at.querySelector(s);
  const $$ = (s, at = document) => [...at.querySelectorAll(s)];
  const seen = el => el && el.getClientRects().length > 0;
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  const say = text => { const p = $('#say'); if (p) { p.textContent = ''; setTimeout(() => { p.textContent = text; }, 30); } };

  addEventListener('DOMContentLoaded', () => {
    const page = document.body.dataset.page;
    let back = null;                                   /* where focus returns to */

    /* Dialogs, menus, messages */
    const open = id => { const d = document.getElementById(id); if (d?.showModal && !d.open) { back = document.activeElement; d.showModal(); } };
    document.addEventListener('click', e => {
      const o = e.target.closest('[data-open]');
      if (o) { e.preventDefault(); open(o.dataset.open); }
      e.target.closest('[data-close]')?.closest('dialog')?.close();
      e.target.closest('[data-dismiss]')?.closest('.toast')?.remove();
      $$('details.menu[open]').forEach(m => { if (!m.contains(e.target)) m.open = false; });
    });
    $$('dialog').forEach(d => d.addEventListener('close', () => { const at = document.activeElement; if (at === document.body || d.contains(at)) back?.focus(); }));

    const keysOn = $('#keys-on');
    if (keysOn) { keysOn.checked = store.get('keys') !== 'off'; keysOn.onchange = () => store.set('keys', keysOn.checked ? 'on' : 'off'); }

    /* Verbs are links without script; with script they act as buttons, so Space must press them too. */
    $$('a[data-act], a[data-cancel], #edit').forEach(x => {
      x.setAttribute('role', 'button');
      if (x.dataset.act) { x.setAttribute('aria-expanded', 'false'); x.setAttribute('aria-controls', x.dataset.act); }
      x.addEventListener('keydown', e => { if (e.key === ' ') { e.preventDefault(); x.click(); } });
    });

    /* ── Queue ── */
    const rows = () => $$('.mails .open');
    const step = d => { const all = rows(), at = all.indexOf(document.activeElement); all[Math.max(0, Math.min(all.length - 1, at + d))]?.focus(); };
    const there = suffix => { const row = document.activeElement; if (row?.matches?.('.mails .open')) location.href = row.href + suffix; };

    /* ── Mail: claim and source light up together ── */
    const claims = $$('.claim');
    const rowOf = c => $(`.row[data-c~="${c.dataset.c}"]`);
    const badgeOf = c => $(`.row[data-c~="${c.dataset.c}"] a.badge[href="#c${c.dataset.c}"]`);
    const claimOf = n => $(`#c${n}`);
    const lit = [];
    function light(key) {
      lit.splice(0).forEach(x => x.classList.remove('lit'));
      if (!key) return;
      key.split(' ').forEach(k => $$(`[data-c~="${k}"]`).forEach(x => { x.classList.add('lit'); lit.push(x); }));
    }
    const focused = () => light(document.activeElement.closest?.('[data-c]')?.dataset.c);
    const into = el => {
      const box = el?.closest('.col');
      if (!box || box.scrollHeight <= box.clientHeight + 2) return;
      const a = el.getBoundingClientRect(), b = box.getBoundingClientRect();
      if (a.top < b.top + 8 || a.bottom > b.bottom - 8) box.scrollTo({ top: box.scrollTop + a.top - b.top - 80, behavior: calm.matches ? 'auto' : 'smooth' });
    };
    const peek = c => {
      const p = $('#peek'), r = rowOf(c);
      if (!p || !r || !matchMedia('(max-width: 48rem)').matches) return false;
      $('.t', p).textContent = r.closest('.src')?.querySelector('h3')?.textContent || '';
      $('.v', p).textContent = $$('th, td, q, .t', r).slice(r.matches('tr') ? 1 : 0).filter(x => !x.matches('.read')).map(x => x.textContent.trim()).join(' · ');
      p.classList.add('is-open');
      return true;
    };
    let dwell = 0;                                     /* the mouse lights at once, but scrolls the other side only when it rests */
    const rest = el => { clearTimeout(dwell); dwell = setTimeout(() => into(el), 350); };
    claims.forEach(c => {
      const key = c.dataset.c;
      c.addEventListener('mouseenter', () => { light(key); rest(rowOf(c)); });
      c.addEventListener('focus', () => { light(key); into(c); into(rowOf(c)); peek(c); });
      c.addEventListener('mouseleave', () => { clearTimeout(dwell); focused(); });
      c.addEventListener('blur', () => light());
      c.addEventListener('click', e => { if (peek(c)) e.preventDefault(); else if (badgeOf(c)) { e.preventDefault(); badgeOf(c).focus(); } });
    });
    $$('.row[data-c]').forEach(r => {
      const key = r.dataset.c.split(' ')[0];
      r.addEventListener('mouseenter', () => { light(key); rest(claimOf(key)); });
      r.addEventListener('mouseleave', () => { clearTimeout(dwell); focused(); });
      r.addEventListener('focusin', () => { light(key); into(r); into(claimOf(key)); });
      r.addEventListener('focusout', () => light());
      $$('a.badge', r).forEach(b => b.addEventListener('click', e => { e.preventDefault(); $(b.hash)?.focus(); }));
    });
    $('#peek-close')?.addEventListener('click', () => $('#peek').classList.remove('is-open'));

    /* What is left before approval. The server decides; this only counts the ticks and leads to what is left. */
    const ticks = $$('.tick input'), approve = $('#approve'), left = $('#left');
    const unticked = () => ticks.filter(x => !x.checked);
    const checksLeft = left?.querySelector('a[href="#checks"]')?.closest('li');
    const stepsLeft = () => $$('a', left ?? document.createElement('ul')).filter(a => a.closest('li').hidden !== true);
    const draw = loud => {
      if (!approve || !left) return;
      const n = unticked().length;
      if (checksLeft) { checksLeft.hidden = n === 0; $('.n', checksLeft).textContent = n; if (n === 1) $('.w', checksLeft).textContent = $('.w', checksLeft).dataset.one; }
      const more = stepsLeft();
      approve.classList.toggle('waits', more.length > 0);
      const lead = $('.lead', left);
      if (lead) lead.hidden = !more.length;
      let done = $('#left-done');
      if (!more.length && !done) { done = document.createElement('li'); done.id = 'left-done'; done.textContent = left.dataset.done; left.append(done); }
      if (done) done.hidden = more.length > 0;
      if (loud) say(more.length ? left.textContent.trim().replace(/\s+/g, ' ') : left.dataset.done);
    };
    const goTo = a => {
      const to = document.getElementById(a.hash.slice(1));
      (a.hash === '#checks' ? unticked()[0] : to)?.focus();
      to?.scrollIntoView({ block: 'nearest' });
    };
    ticks.forEach(x => x.addEventListener('change', () => draw(true)));
    left?.addEventListener('click', e => { const a = e.target.closest('a'); if (a) { e.preventDefault(); goTo(a); } });
    approve?.addEventListener('click', e => {
      const more = stepsLeft();
      if (more.length) { e.preventDefault(); goTo(more[0]); say(left.textContent.trim().replace(/\s+/g, ' ')); }
    });
    /* One press approves once; the database says so too. */
    $('#approve-form')?.addEventListener('submit', () => setTimeout(() => { approve.disabled = true; }));
    draw();

    /* After approval: the seconds left are shown, and not read aloud. */
    const undo = $('#undo');
    if (undo) {
      const until = Date.parse(undo.dataset.until), b = $('.seconds', undo);
      const tick = () => { const s = Math.ceil((until - Date.now()) / 1000); b.textContent = s > 0 ? `${s} s` : ''; if (s <= 0) clearInterval(timer); };
      const timer = setInterval(tick, 500);
      tick();
    }

    /* Acts that open above the dock */
    const acts = $$('.act');
    const show = id => {
      let opened = false;
      acts.forEach(a => {
        const on = a.id === id && !a.classList.contains('is-open');
        a.classList.toggle('is-open', on);
        const b = $(`[data-act="${a.id}"]`);
        b?.setAttribute('aria-expanded', on);
        if (on) { opened = true; back = seen(b) ? b : $('.verbs .menu summary'); $('input:not([type=hidden]), textarea, select', a)?.focus(); }
      });
      $$('details.menu[open]').forEach(m => { m.open = false; });
      if (!opened) back?.focus();
      return opened;
    };
    $$('[data-act]').forEach(b => b.addEventListener('click', e => { e.preventDefault(); e.stopPropagation(); show(b.dataset.act); }));
    $$('.act [data-cancel]').forEach(b => b.addEventListener('click', e => { e.preventDefault(); show(b.closest('.act').id); }));

    /* Editing takes the letter's place */
    const editor = $('#editing');
    const edit = on => {
      if (!editor) return;
      $('#letter').hidden = on;
      editor.hidden = !on;
      document.body.classList.toggle('editing', on);
      $('#edit').setAttribute('aria-pressed', on);
      if (on) $('textarea', editor).focus(); else $('#edit').focus();
    };
    $('#edit')?.addEventListener('click', e => { e.preventDefault(); edit(editor.hidden); });
    $$('[data-edit-end]').forEach(b => b.addEventListener('click', e => { if (b.closest('form').dataset.changed) return; e.preventDefault(); edit(false); }));
    editor?.addEventListener('input', () => { editor.dataset.changed = 'yes'; });
    editor?.addEventListener('submit', () => { delete editor.dataset.changed; });
    addEventListener('beforeunload', e => { if (editor?.dataset.changed) e.preventDefault(); });
    $$('[data-insert]').forEach(b => b.addEventListener('click', () => {
      const t = $('#ed');
      t.setRangeText(b.dataset.insert, t.selectionStart, t.selectionEnd, 'end');
      t.focus();
      t.dispatchEvent(new Event('input', { bubbles: true }));
    }));
    if (editor && !editor.hidden) { document.body.classList.add('editing'); $('textarea', editor).focus(); }

    /* Views fold away where there is no room beside the list */
    const vb = $('#viewbox'), slim = matchMedia('(max-width: 62rem)');
    if (vb) { const fit = () => { vb.open = !slim.matches; }; fit(); slim.addEventListener('change', fit); }

    /* Opened from the list at a place */
    if (location.hash === '#checks') (ticks[0] ?? $('#checks'))?.focus();
    if (location.hash.startsWith('#act-') && document.getElementById(location.hash.slice(1))) show(location.hash.slice(1));

    /* ── Keys. Matched on the character, so Nordic layouts work (/ is Shift+7, ? is Shift++). ── */
    let g = 0, from = null;
    const click = s => { const el = $(s); if (seen(el)) { el.click(); return true; } return false; };
    const cycle = (list, d) => {
      list = list.filter(seen);
      if (!list.length) return;
      const at = list.indexOf(document.activeElement);
      list[at < 0 ? (d > 0 ? 0 : list.length - 1) : (at + d + list.length) % list.length].focus();
    };
    const toSource = () => {
      const here = document.activeElement, n = here.closest('.row')?.dataset.c?.split(' ')[0];
      if (here.matches('.claim')) { from = here; (badgeOf(here) ?? $(here.hash)?.querySelector('button, a'))?.focus(); } else if (n) claimOf(n)?.focus();
    };
    const everywhere = {
      '?': () => open('help'), '/': () => $('#q')?.focus(), s: () => $('#q')?.focus(),
      g: () => { g = 1; setTimeout(() => { g = 0; }, 1200); },
    };
    const keys = {
      queue: { j: () => step(1), k: () => step(-1), e: () => there('?edit=1#editing'), a: () => there('#checks'), r: () => there('#act-reject') },
      mail: {
        n: () => cycle(claims, 1), p: () => cycle(claims, -1), u: () => cycle(claims.filter(c => c.classList.contains('none')), 1),
        c: () => cycle(ticks, 1), o: toSource, a: () => click('#approve'), e: () => click('#edit'), r: () => click('#reject'), h: () => click('#handover'),
        l: () => { const f = $('#log'); f.open = !f.open; $('summary', f).focus(); }, z: () => click('#takeback'),
        j: () => click('#next'), k: () => click('#prev'),
      },
    };
    document.addEventListener('keydown', e => {
      if (e.ctrlKey || e.metaKey || e.altKey || $('dialog[open]:modal')) return;
      const typing = e.target.matches('input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]');
      if (e.key === 'Escape') {
        const act = $('.act.is-open'), menu = $('details.menu[open]');
        if (act) show(act.id);
        else if (menu) { menu.open = false; $('summary', menu).focus(); }
        else if ($('#peek.is-open')) $('#peek').classList.remove('is-open');
        else if (typing) { e.target.blur(); if (e.target.closest('#editing') && !editor.dataset.changed) edit(false); }
        else if (from) { from.focus(); from = null; }
        return;
      }
      if (typing || (keysOn && !keysOn.checked)) return;
      if (g && e.key === 'q') { g = 0; location.href = $('#to-queue').href; return; }
      const arrow = { ArrowDown: 1, ArrowUp: -1 }[e.key];
      if (arrow && document.activeElement.matches('.mails .open')) { e.preventDefault(); step(arrow); return; }
      const act = { ...everywhere, ...keys[page] }[e.key];
      if (act) { e.preventDefault(); act(); }
    });
  });
})();
