// Keeps the page up to date from status.json and filters it while one types. The page is whole without it.
'use strict';
(() => {
	const AGAIN_MS = 5000, AGAIN_LARGE_MS = 15000, LARGE = 2000, HIDDEN_MS = 60000, LONGEST_MS = 60000, SAY_MS = 500;
	const STATES = ['failed', 'terminating', 'starting', 'restoring', 'pending', 'absent', 'active'];
	const $ = (selector, within = document) => within.querySelector(selector);
	const table = $('table'), form = $('#filter'), pulse = $('#pulse'), template = $('#row').content;
	let etag = '', failures = 0, timer = 0, rows = new Map(), asked = null;

	// As words_duration() of the server has it.
	const duration = s => {
		const two = (n, unit, m, small) => m ? `${n} ${unit} ${m} ${small}` : `${n} ${unit}`;
		s = Math.max(0, Math.floor(s));
		if (s < 60) return `${s} s`;
		if (s < 3600) return `${Math.floor(s / 60)} min`;
		if (s < 86400) return two(Math.floor(s / 3600), 'h', Math.floor(s % 3600 / 60), 'min');
		return two(Math.floor(s / 86400), 'd', Math.floor(s % 86400 / 3600), 'h');
	};
	const when = iso => {
		const ago = (Date.now() - Date.parse(iso)) / 1000;
		return Math.abs(ago) < 1 ? 'now' : ago < 0 ? `in ${duration(-ago)}` : `${duration(ago)} ago`;
	};
	const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
	const ages = within => { for (const t of within.querySelectorAll('time')) if (t.dateTime) write(t, when(t.dateTime)); };

	const fill = (within, facts) => {
		for (const e of within.querySelectorAll('[data-f]')) {
			const text = facts[e.dataset.f];
			if (text === undefined) continue;
			write(e, String(text ?? ''));
			if (e.tagName === 'B') e.closest('li').dataset.n = text;
			else e.hidden = text === null || text === '';
		}
		for (const e of within.querySelectorAll('[data-t]')) {
			const at = facts[e.dataset.t];
			if (at === undefined) continue;
			e.hidden = !at;
			if (at) { e.dateTime = e.title = at; write(e, when(at)); }
		}
		for (const e of within.querySelectorAll('[data-d]')) if (facts[e.dataset.d] !== undefined) e.hidden = !facts[e.dataset.d];
		for (const e of within.querySelectorAll('[data-p]')) {
			e.hidden = facts[e.dataset.p] === null;
			e.value = facts[e.dataset.p] ?? 0;
		}
		const id = $('[data-f=snapshot]', within);
		if (id) id.title = facts.snapshot_id ?? '';
	};

	// A row is drawn again only when something in it has changed.
	const draw = facts => {
		const text = JSON.stringify(facts), known = rows.get(facts.namespace);
		const row = known ? known.row : template.cloneNode(true).firstElementChild;
		if (!known || known.text !== text) {
			if (known && known.text) { row.classList.remove('fresh'); void row.offsetWidth; row.classList.add('fresh'); }
			row.dataset.ns = facts.namespace;
			row.dataset.state = facts.state;
			row.dataset.tone = facts.tone;
			fill(row, facts);
			delete row.dataset.q;
		}
		return { row, text };
	};

	const show = status => {
		const next = new Map(), groups = new Map(STATES.map(state => [state, []]));
		for (const facts of status.replicas) {
			const drawn = draw(facts);
			next.set(facts.namespace, drawn);
			groups.get(facts.state).push(drawn.row);
		}
		for (const [namespace, gone] of rows) if (!next.has(namespace)) gone.row.remove();
		rows = next;
		for (const [state, members] of groups) {
			const body = $(`#g-${state}`);
			let at = body.firstElementChild;
			for (const row of members) {
				if (at.nextElementSibling !== row) at.after(row);
				at = row;
			}
		}
		delete status.replicas;
		fill($('header'), status);
		fill($('section'), status);
		document.title = `understory: ${status.title}`;
		filter();
	};

	const matches = (row, words, state, attention) => {
		if (state && row.dataset.state !== state) return false;
		if (attention && row.dataset.tone !== 'broken' && row.dataset.tone !== 'attention') return false;
		if (words.length === 0) return true;
		row.dataset.q ??= (row.textContent + ' ' + ($('[data-f=snapshot]', row)?.title ?? '')).toLowerCase();
		return words.every(word => row.dataset.q.includes(word));
	};
	const filter = () => {
		const words = form.q.value.toLowerCase().split(/\s+/).filter(Boolean);
		let shown = 0, all = 0;
		for (const body of table.tBodies) {
			let here = 0, members = 0;
			for (const row of body.rows) {
				if (row.classList.contains('group')) continue;
				const fits = matches(row, words, form.state.value, form.attention.checked);
				row.hidden = !fits;
				here += fits;
				members++;
			}
			body.hidden = here === 0;
			write($('b', body), here === members ? String(members) : `${here} of ${members}`);
			shown += here;
			all += members;
		}
		$('#none').hidden = shown > 0 || all === 0;
		return shown === all ? `${all} shown` : `${shown} of ${all} shown`;
	};
	let saying = 0;
	const filterAndSay = () => {
		const words = filter(), query = new URLSearchParams(new FormData(form));
		for (const [key, value] of [...query]) if (!value) query.delete(key);
		history.replaceState(null, '', query.size ? `?${query}` : location.pathname);
		clearTimeout(saying); // one sentence for a screen reader, not one a letter
		saying = setTimeout(() => write($('#shown'), words), SAY_MS);
	};

	const fetchStatus = async () => {
		asked = new AbortController();
		const stop = setTimeout(() => asked.abort(), 15000);
		try {
			const answer = await fetch('status.json', { headers: etag ? { 'If-None-Match': etag } : {}, cache: 'no-store', signal: asked.signal });
			if (answer.status !== 304 && !answer.ok) throw new Error(`${answer.status}`);
			if (answer.status !== 304) {
				const status = await answer.json(), begin = performance.now();
				show(status);
				performance.measure('understory-render', { start: begin });
				etag = answer.headers.get('ETag') ?? '';
			}
			failures = 0;
			write(pulse, '');
		} catch {
			failures++;
			if (failures === 2) write(pulse, 'The operator does not answer: this is what it said last.');
		} finally {
			clearTimeout(stop);
		}
	};
	const loop = async () => {
		clearTimeout(timer);
		await fetchStatus();
		ages(document);
		const usual = document.hidden ? HIDDEN_MS : rows.size > LARGE ? AGAIN_LARGE_MS : AGAIN_MS;
		clearTimeout(timer);
		timer = setTimeout(loop, failures ? Math.min(LONGEST_MS, Math.max(usual, 1000 * 2 ** Math.min(failures, 6))) : usual);
	};

	const began = performance.now();
	// A page of a query holds only what matches: the rest is asked for at once.
	for (const row of table.querySelectorAll('tbody tr[data-ns]')) rows.set(row.dataset.ns, { row, text: '' });
	ages(document);
	filter();
	$('button', form).hidden = true;
	form.addEventListener('submit', event => { event.preventDefault(); filterAndSay(); });
	form.addEventListener('input', filterAndSay);
	for (const link of document.querySelectorAll('#counts a'))
		link.addEventListener('click', event => {
			event.preventDefault();
			const query = new URL(link.href).searchParams;
			form.state.value = query.get('state') ?? '';
			form.attention.checked = query.has('attention');
			filterAndSay();
			form.state.focus();
		});
	document.addEventListener('keydown', event => {
		if (event.key === '/' && !event.ctrlKey && !event.metaKey && !event.altKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
			event.preventDefault();
			form.q.focus();
		} else if (event.key === 'Escape' && event.target === form.q && form.q.value) {
			form.q.value = '';
			filterAndSay();
		}
	});
	document.addEventListener('visibilitychange', () => { if (!document.hidden) loop(); });
	performance.measure('understory-start', { start: began });
	timer = setTimeout(loop, location.search ? 0 : AGAIN_MS);
})();
