"use strict";
// The one thing that needs a script: asking the browser for a passkey, and handing it in.

const button = document.getElementById("passkey");
const problem = document.getElementById("passkey-problem");

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const named = (ids) => ids.map((id) => ({ type: "public-key", id: bytes(id) }));

async function post(path, fields) {
  const answer = await fetch(path, { method: "POST", body: new URLSearchParams(fields) });
  const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
  if (!isJson) throw new Error(`The gateway answered with ${answer.status}; load the page again.`);
  return answer.json();
}

async function make(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(options.challenge),
      rp: { id: options.host, name: "Bartizan" },
      user: { id: bytes(options.handle), name: options.person, displayName: options.person },
      pubKeyCredParams: options.algorithms.map((alg) => ({ type: "public-key", alg })),
      excludeCredentials: named(options.exclude),
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
      attestation: "none",
    },
  });
  const { response } = made;
  return {
    id: text(made.rawId),
    client: text(response.clientDataJSON),
    authenticator: text(response.getAuthenticatorData()),
    key: text(response.getPublicKey()),
    algorithm: response.getPublicKeyAlgorithm(),
    label: document.getElementById("label").value,
  };
}

async function show(options) {
  const shown = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(options.challenge),
      rpId: options.host,
      allowCredentials: named(options.allow),
      userVerification: "required",
    },
  });
  const { response } = shown;
  return {
    id: text(shown.rawId),
    client: text(response.clientDataJSON),
    authenticator: text(response.authenticatorData),
    signature: text(response.signature),
    handle: response.userHandle ? text(response.userHandle) : "",
  };
}

async function use() {
  const { act, csrf, path } = button.dataset;
  const options = await post("/bartizan/passkey/options", { csrf, for: path.split("/").pop() });
  if (options.location) return location.assign(options.location);
  const made = act === "make" ? await make(options) : await show(options);
  const fields = { ...made, csrf, challenge: options.challenge, return_to: button.dataset.return };
  const answer = await post(path, fields);
  if (answer.location) return location.assign(answer.location);
  throw new Error(answer.problem);
}

// What browsers say of these is for whoever writes pages.
const words = {
  NotAllowedError: "It was cancelled, or took too long. Try again.",
  InvalidStateError: "This device has a passkey for you here already.",
  SecurityError: "Passkeys cannot be used at this address.",
  NotSupportedError: "This device has no passkeys that can be used here.",
  TypeError: "The gateway cannot be reached. Try again.",
};

if (button && window.PublicKeyCredential) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    problem.hidden = true;
    try {
      await use();
    } catch (error) {
      problem.textContent = words[error.name] ?? error.message;
      problem.hidden = false;
    }
    button.disabled = false;
  });
}
