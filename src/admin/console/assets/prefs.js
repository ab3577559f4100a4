// What the viewer chose, kept in this browser. Storage may be switched off: then it lasts for the page.

const held = new Map();

export function recall(name) {
  try {
    return localStorage.getItem(`flashduty.${name}`) ?? held.get(name);
  } catch {
    return held.get(name);
  }
}

export function remember(name, value) {
  held.set(name, value);
  try {
    localStorage.setItem(`flashduty.${name}`, value);
  } catch {
    // It is held for as long as the page is open.
  }
}
