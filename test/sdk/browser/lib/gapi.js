// In place of https://apis.google.com/js/api.js, which tests must not need: the part of gapi.iframes that the SDK and the server's frame use, with the
// same names and orders of calls. Frames speak by postMessage here as there.
(() => {
  const here = new URL(document.currentScript.src);
  const peers = [];
  class Peer {
    constructor(target) { this.target = target; this.handlers = {}; this.answers = {}; this.n = 0; peers.push(this); }
    register(name, handler) { this.handlers[name] = handler; }
    send(name, body, done) {
      const id = ++this.n;
      this.answers[id] = done;
      this.target().postMessage({ gapi: 'call', id, name, body }, '*');
    }
    restyle() { return Promise.resolve(); }
    ping(ok) { return this.loaded.then(() => ok && ok()); }
  }
  window.addEventListener('message', async (e) => {
    const peer = peers.find((p) => p.target() === e.source);
    if (!peer || !e.data?.gapi) return;
    if (e.data.gapi === 'answer') return peer.answers[e.data.id]?.([e.data.body]);
    const handler = peer.handlers[e.data.name];
    const body = handler ? await handler(e.data.body) : undefined;
    e.source.postMessage({ gapi: 'answer', id: e.data.id, body }, '*');
  });
  const iframes = {
    CROSS_ORIGIN_IFRAMES_FILTER: () => true,
    Iframe: Peer,
    getContext: () => ({
      open({ where, url, attributes }, opened) {
        const el = document.createElement('iframe');
        Object.assign(el.style, attributes?.style);
        el.src = url;
        const peer = new Peer(() => el.contentWindow);
        peer.loaded = new Promise((r) => { el.onload = r; });
        where.append(el);
        return opened(peer);
      },
      getParentIframe: () => new Peer(() => window.parent),
    }),
  };
  window.gapi = { load(_, { callback }) { window.gapi.iframes = iframes; setTimeout(callback); } };
  window[here.searchParams.get('onload')]?.();
  window.gapi_onload?.();
})();
